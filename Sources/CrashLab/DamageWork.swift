import Codec
import Domain
import Engine
import EventLog
import Foundation
import LMDB
import Ports

/// Damages a log in many ways, one after the other, and holds what is served then against what was written. LMDB may
/// crash or hang on a damaged file, so it is said before which one is next.
struct DamageWork: Codable, Sendable {
    /// A check that is left out, for control.
    enum Omission: String, Codable, Sendable {
        case chain
        case frames
    }

    /// A sound log that nobody writes.
    var log: String
    var scratch: String
    var seed: UInt64
    var indices: Range<Int>
    var omitting: Omission?

    /// Says `at INDEX` before and `was harmless | older | refused | served MESSAGE` behind each.
    func run() async throws {
        let reference = try await ReferenceLog(directory: log)
        let whole = Array(try Data(contentsOf: URL(filePath: log + "/data.mdb")))
        for index in indices {
            say("at \(index)")
            let damage = try make(index, whole, reference)
            let outcome = try served(reference, damage)
            say("was \(outcome)\(outcome.hasPrefix(Self.servedWord) ? ", with \(damage)" : "")")
        }
        say("end")
    }

    private func make(_ index: Int, _ whole: [UInt8], _ reference: ReferenceLog) throws -> Damage {
        let frames = reference.batches.flatMap(\.frames)
        let damage = Damage.drawn(index, seed: seed, fileBytes: whole.count, frames: frames.count)
        var bytes = whole
        damage.apply(to: &bytes)
        try? FileManager.default.removeItem(atPath: scratch)
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(filePath: scratch + "/data.mdb"))
        if case .forged(let number) = damage { try forge(frames[number]) }
        return damage
    }

    /// Puts a frame with another payload, of the same length, and a checksum that fits in the place of one.
    private func forge(_ frame: Frame) throws {
        var forged = frame
        for place in forged.payload.indices.suffix(1) { forged.payload[place] ^= 1 }
        if forged.payload.isEmpty { forged.header.time = forged.header.time.adding(milliseconds: 1) }
        let number = frame.header.sequence.rawValue
        let key = InlineArray<8, UInt8> { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
        let value = try FrameCodec.encode(forged)
        let environment = try environment(.write)
        defer { environment.close() }
        try environment.write { transaction in
            try transaction.put(Self.events, key: key.span, value: value.span, appending: false)
        }
    }

    private static let events = Environment.Database(0)

    private func environment(_ access: Environment.Access) throws -> Environment {
        var options = Environment.Options(databases: ["events", "batches", "meta"], access: access)
        options.initialMapBytes = 1 << 24
        return try Environment.open(directory: scratch, options: options)
    }

    // MARK: What is served

    private func served(_ reference: ReferenceLog, _ made: Damage) throws -> String {
        if omitting == .frames { return try servedUnchecked(reference) }
        do throws(StoreFailure) {
            let log = try EventLog.open(directory: scratch, mode: .readOnly)
            let report = try log.verify()
            let damage = omitting == .chain ? nil : report.damage
            guard log.identity == reference.identity else { return "served another identity" }
            // Only the chain tells a forgery, and the chain is verify's.
            if case .forged = made { return damage == nil ? "served a forgery" : "refused" }
            let (batches, refusal) = read(log, maximumFrames: 1)
            if let problem = Self.difference(batches, reference) { return "served \(problem)" }
            if let problem = replay(log, reference) { return "served \(problem)" }
            guard let damage else {
                if batches.count < reference.batches.count {
                    // An older commit's log, whole and sound: only a position that left the process tells.
                    if refusal == nil, report.end == batches.last?.end ?? .start(of: log.identity) { return "older" }
                    let reason = refusal.map(\.message) ?? "no more is there"
                    return omitting == nil
                        ? "served \(batches.count) batches of what verifies as the whole: \(reason)" : "refused"
                }
                return "harmless"
            }
            // Everything up to the sequence that is named must be there, as it was.
            let inOrder = read(log, maximumFrames: Self.framesAtOnce).batches
            if let problem = Self.difference(inOrder, reference) { return "served \(problem)" }
            guard inOrder.last?.end.sequence ?? .zero >= damage.afterSequence else {
                return "served less than the \(damage.afterSequence) events that verify calls sound"
            }
            return "refused"
        } catch { return "refused" }
    }

    private static let servedWord = "served"
    private static let framesAtOnce = 100_000

    /// One at a time, LMDB searches for each; all at once, it walks along.
    private func read(_ log: EventLog, maximumFrames: Int) -> (batches: [FrameBatch], refusal: StoreFailure?) {
        var batches: [FrameBatch] = []
        do throws(StoreFailure) {
            while true {
                let next = try log.read(after: batches.last?.end.sequence ?? .zero, maximumFrames: maximumFrames)
                if next.isEmpty { return (batches, nil) }
                batches += next
            }
        } catch { return (batches, error) }
    }

    /// Between what was read and the beginning of what was written. Of a batch with a damaged end its frames count.
    private static func difference(_ batches: [FrameBatch], _ reference: ReferenceLog) -> String? {
        for (place, batch) in batches.enumerated() {
            guard place < reference.batches.count else { return "a batch that was never written" }
            for (frame, written) in zip(batch.frames, reference.batches[place].frames) where frame != written {
                return "an altered frame at \(written.header.sequence)"
            }
            if batch != reference.batches[place] { return "an altered batch that ends at \(batch.end.sequence)" }
        }
        return nil
    }

    /// What an engine would go on from.
    private func replay(_ log: EventLog, _ reference: ReferenceLog) -> String? {
        guard let replay = try? Replay<Global>.whole(log, codec: GlobalCodec()) else { return nil }
        return replay.state == reference.states[replay.head.sequence] ? nil : "a state that never was"
    }

    /// As if frames had no checksums: whatever LMDB gives.
    private func servedUnchecked(_ reference: ReferenceLog) throws -> String {
        do {
            let environment = try environment(.readOnly)
            defer { environment.close() }
            var values: [[UInt8]] = []
            try environment.read { transaction in
                try transaction.scan(Self.events, from: [UInt8]().span) { _, value in
                    values.append(value.indices.map { value[$0] })
                    return values.count <= 1_000_000
                }
            }
            let written = try reference.batches.flatMap(\.frames).map { try FrameCodec.encode($0) }
            return values == written ? "harmless" : "served an altered frame"
        } catch { return "refused" }
    }
}
