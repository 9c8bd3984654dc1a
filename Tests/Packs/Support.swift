import Crypto
import Domain
import Foundation
import Glibc
import Packs
import Ports
import Testing

/// SplitMix64: small, and the same everywhere. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Bytes that do not compress.
    mutating func noise(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            let word = next()
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return Array(bytes.prefix(count))
    }

    /// Runs of one byte between stretches of noise: partly compressible, as programs are.
    mutating func mixture(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let run = Int.random(in: 1...9000, using: &self)
            let isNoise = Bool.random(using: &self)
            bytes += isNoise ? noise(run) : [UInt8](repeating: UInt8.random(in: 0...255, using: &self), count: run)
        }
        return Array(bytes.prefix(count))
    }
}

/// The seed of a property test: `DROVER_SEED`, or a fresh one. It is printed, so that a failure can be run again.
func propertySeed(_ test: String) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["DROVER_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("\(test): DROVER_SEED=\(seed)")
    return seed
}

/// A directory of a test's own, removed with the last reference.
final class Workshop {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "drover-packs-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    func read(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: file(name)))) }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }
}

/// Signs with a key made from one byte.
struct TestSigner: Signer {
    let key: Curve25519.Signing.PrivateKey

    init(_ byte: UInt8 = 7) throws { key = try .init(rawRepresentation: [UInt8](repeating: byte, count: 32)) }

    var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    func signature(over bytes: [UInt8]) throws -> [UInt8] { Array(try key.signature(for: Data(bytes))) }
}

/// What a tool printed, and how it ended.
func run(_ tool: String, _ arguments: [String]) throws -> (status: Int32, output: [UInt8]) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: tool)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, [UInt8](output))
}

let sampleRun = RunSettings(
    command: nil, arguments: ["--port", "80/\"x\""], environment: ["B": "2", "A": "é\n/=", "A_B": ""],
    health: .http(path: "/healthz", port: 8080, withinSeconds: 30), stopSignal: .int, graceSeconds: 5)

func sampleRequest(run: RunSettings = sampleRun) throws -> PackRequest {
    PackRequest(
        app: try #require(AppName(rawValue: "web")), build: BuildID(rawValue: 42), attempt: .first,
        commit: String(repeating: "a1", count: 20), repository: "https://example.org/web.git", run: run,
        provenance: PackProvenance(
            worker: try #require(WorkerName(rawValue: "w1")), region: try #require(RegionName(rawValue: "eu")),
            builtAt: Timestamp(milliseconds: 1_700_000_000_000), recipe: ContentHasher.digest([1, 2, 3]),
            buildCommand: "make release"))
}

func settings(segmentBytes: UInt64, threads: Int = 2, level: Int32 = 1) -> PackSettings {
    var settings = PackSettings()
    settings.segmentBytes = segmentBytes
    settings.compressionThreads = threads
    settings.zstdLevel = level
    return settings
}

/// A pack in a workshop: `raw`, `pack` and its unsigned manifest.
struct PackedFile {
    let workshop: Workshop
    let raw: [UInt8]
    let manifest: Manifest

    init(_ raw: [UInt8], settings: PackSettings) throws {
        workshop = try Workshop()
        self.raw = raw
        let artifact = try workshop.write(raw, "raw")
        manifest = try PackWriter(settings: settings).pack(
            artifact: artifact, to: workshop.file("pack"), sampleRequest())
    }

    func reader() throws -> PackReader { try PackReader(path: workshop.file("pack"), manifest: manifest) }
}

/// The code of the failure that `body` throws; nil when it throws none.
func failureCode(_ body: () throws(PackFailure) -> Void) -> PackFailure.Code? {
    do throws(PackFailure) {
        try body()
        return nil
    } catch { return error.code }
}
