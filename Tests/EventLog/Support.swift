import Domain
import EventLog
import Foundation
import Ports
import Testing

/// A directory for one test, removed when it is over.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/drover-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func inside(_ name: String) -> String { "\(path)/\(name)" }
}

/// A small generator of numbers from a seed (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

let testIdentity = LogIdentity(high: 0x1122_3344_5566_7788, low: 0x99AA_BBCC_DDEE_FF00)

/// A frame whose payload tells its sequence.
func testFrame(_ sequence: UInt64, epoch: UInt64 = 1, bytes: Int = 60) -> Frame {
    let payload = (0..<bytes).map { UInt8(truncatingIfNeeded: Int(truncatingIfNeeded: sequence) &* 31 &+ $0) }
    return Frame(
        header: FrameHeader(
            epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
            time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(sequence)),
            command: LogSequence(rawValue: sequence),
            actor: .person("ada"), key: sequence.isMultiple(of: 3) ? "key-\(sequence)" : nil),
        type: 7, schemaRevision: 1, payload: payload)
}

func testFrames(_ range: ClosedRange<UInt64>, epoch: UInt64 = 1, bytes: Int = 60) -> [Frame] {
    range.map { testFrame($0, epoch: epoch, bytes: bytes) }
}

/// Little address space and no waiting, so that limits are met soon.
func smallSettings() -> EventLog.Settings {
    var settings = EventLog.Settings()
    settings.initialMapBytes = 1 << 20
    settings.lockWaitSeconds = 0
    settings.pollMilliseconds = 2
    return settings
}

func createLog(_ directory: String, settings: EventLog.Settings = smallSettings()) throws -> EventLog {
    try EventLog.open(directory: directory, mode: .create(identity: testIdentity), settings: settings)
}

func openReader(_ directory: String) throws -> EventLog {
    try EventLog.open(directory: directory, mode: .readOnly, settings: smallSettings())
}

/// A log of three batches (1...4, 5...6, 7...12), closed again.
func makeSmallLog(_ directory: String) throws {
    let log = try createLog(directory)
    for range in [1...4, 5...6, 7...12] as [ClosedRange<UInt64>] { _ = try log.append(testFrames(range)) }
}

extension EventLog {
    /// Everything, read in pieces.
    func everything(maximumFrames: Int = 50) throws -> [FrameBatch] {
        var batches: [FrameBatch] = []
        while true {
            let next = try read(after: batches.last?.end.sequence ?? .zero, maximumFrames: maximumFrames)
            if next.isEmpty { return batches }
            batches += next
        }
    }
}

/// Looks again and again, for a bounded time, until something is so.
func eventually(_ what: Comment, _ condition: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(120)
    while clock.now < deadline {
        if try await condition() { return }
        await Task.yield()
    }
    Issue.record(what)
}
