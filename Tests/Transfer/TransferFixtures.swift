import Domain
import Foundation
import Logging
import NIOCore
import Packs
import Ports
import Swarm
import Synchronization
import Testing

@testable import Transfer

/// The machine's clocks.
struct MachineClock: ClockSource {
    private let start = ContinuousClock.now

    func read() -> ClockReading {
        let elapsed = start.duration(to: .now).components
        return ClockReading(
            wallMilliseconds: Int64(Date().timeIntervalSince1970 * 1000),
            monotonicMilliseconds: elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
    }
}

/// A directory of its own, gone with the last reference.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/drover-transfer-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// A packed artifact, and where it stands.
struct TestPack: Sendable {
    let manifest: Manifest
    let path: String
    let scratch: Scratch

    /// Of random bytes.
    init(rawBytes: Int) throws {
        let random = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/urandom"))
        try self.init(raw: random.read(upToCount: rawBytes) ?? Data())
    }

    init(raw: Data) throws {
        scratch = try Scratch()
        path = scratch.file("pack")
        try raw.write(to: URL(fileURLWithPath: scratch.file("raw")))
        manifest = try PackWriter().pack(artifact: scratch.file("raw"), to: path, Self.request)
    }

    private static let request = PackRequest(
        app: AppName(unchecked: "web"), build: BuildID(rawValue: 7), attempt: .first,
        commit: String(repeating: "a", count: 40), repository: "https://example.org/web.git",
        run: RunSettings(command: nil),
        provenance: PackProvenance(
            worker: WorkerName(unchecked: "w1"), region: RegionName(unchecked: "r1"), builtAt: .zero, recipe: .zero,
            buildCommand: "make"))

    var name: PackName { manifest.packName }
    var totalBytes: UInt64 { manifest.totals.packedLength }
    var pieceCount: Int { manifest.pieces.count }

    func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        try file.seek(toOffset: range.lowerBound)
        return Array(try file.read(upToCount: Int(range.upperBound - range.lowerBound)) ?? Data())
    }

    /// The whole pack, served.
    func shared(
        ledger: MirrorLedgerSettings? = nil, onSent: @escaping @Sendable (UInt64, PeerName?) -> Void = { _, _ in }
    ) throws -> SharedPack {
        try SharedPack(
            manifest: manifest, paths: [path], verified: .all(pieceCount: pieceCount), clock: MachineClock(),
            ledger: ledger, seed: 1, onSent: onSent)
    }
}

/// Waits until something holds; false after five minutes, which only a fault needs.
func eventually(_ condition: @Sendable () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now.advanced(by: .seconds(300))
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}

let quietLogger: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .error
    return logger
}()

/// A server that runs until it is stopped.
final class RunningServer: Sendable {
    let server: PieceServer
    let shelf: PackShelf
    private let task: Task<Void, Never>

    /// The files it serves live as long as it.
    private let scratch: Scratch?

    init(_ settings: PieceServerSettings = PieceServerSettings(), keeping scratch: Scratch? = nil) async throws {
        let shelf = PackShelf()
        self.scratch = scratch
        let server = try await PieceServer.bind(settings, catalog: shelf, logger: quietLogger)
        (self.server, self.shelf) = (server, shelf)
        task = Task { await server.run() }
    }

    deinit { task.cancel() }

    var endpoint: PackEndpoint {
        get throws { try PackEndpoint("http://\(server.address)") }
    }

    func stop() async {
        task.cancel()
        await task.value
    }
}

/// A mirror with a ledger.
func startMirror(of pack: TestPack, ledger: MirrorLedgerSettings? = MirrorLedgerSettings()) async throws -> (
    RunningServer, SharedPack
) {
    let shared = try pack.shared(ledger: ledger)
    let server = try await RunningServer(PieceServerSettings(uploadSlots: 64))
    server.shelf.put(shared, as: pack.name)
    return (server, shared)
}

/// A peer: a server, and a fetch that runs until it is done or stopped.
final class RunningPeer: Sendable {
    let name: PeerName
    let pack: TestPack
    let server: RunningServer
    let client = PieceClient()
    let finalPath: String
    private let fetch = Mutex<(fetcher: PackFetcher, task: Task<TransferFailure?, Never>)?>(nil)

    init(_ number: Int, _ pack: TestPack) async throws {
        (name, self.pack) = (PeerName(unchecked: "peer-\(number)"), pack)
        server = try await RunningServer()
        finalPath = pack.scratch.file("peer-\(number)")
    }

    var fetcher: PackFetcher? { fetch.withLock { $0?.fetcher } }
    var progress: FetchProgress? { fetcher?.progress }

    func start(_ sources: FetchSources, settings: FetchSettings = FetchSettings()) async throws {
        let fetcher = try await PackFetcher.open(
            manifest: pack.manifest, finalPath: finalPath, sources: sources, peer: name, client: client,
            clock: MachineClock(), settings: settings, seed: UInt64(name.rawValue.utf8.last ?? 0), logger: quietLogger)
        server.shelf.put(fetcher.shared, as: pack.name)
        let task = Task { () -> TransferFailure? in
            do throws(TransferFailure) {
                try await fetcher.run()
                return nil
            } catch {
                return error
            }
        }
        fetch.withLock { $0 = (fetcher, task) }
    }

    /// Nil when the fetch has ended well. How long it may take is the suite's time limit's matter.
    func end() async -> TransferFailure? { await fetch.withLock { $0?.task }?.value }

    func cancelFetch() async -> TransferFailure? {
        guard let task = fetch.withLock({ $0?.task }) else { return nil }
        task.cancel()
        return await task.value
    }

    /// All at once, as when the machine dies.
    func kill() async {
        _ = await cancelFetch()
        await server.stop()
        await client.shutdown()
    }

    /// Every piece of what was fetched, hashed again.
    func verify() throws {
        try PackReader(path: finalPath, manifest: pack.manifest).verifyPacked()
        #expect(!FileManager.default.fileExists(atPath: finalPath + ".partial"))
        #expect(!FileManager.default.fileExists(atPath: finalPath + ".partial.pieces"))
    }
}

// MARK: - What a fetch asks

extension PieceClient {
    /// Tells what the endpoint has, again whenever that has grown; returns when it has all.
    func haves(
        of pack: PackName, pieceCount: Int, at endpoint: PackEndpoint, tell: @escaping @Sendable (PieceSet) -> Void
    ) async throws {
        let failure = await withCheckedContinuation { continuation in
            loop.execute {
                let reader = HavesReader(endpoint, pieceCount: pieceCount, tell: tell) {
                    continuation.resume(returning: $0)
                }
                _ = self.pool.value.ask(Question(PackPath.of(pack, "/haves"), as: nil, at: endpoint), reader)
            }
        }
        if let failure { throw failure }
    }

    /// What a mirror lets this peer take.
    func offer(
        of pack: PackName, pieceCount: Int, to peer: PeerName, at endpoint: PackEndpoint, wanted: [Int]
    ) async throws -> HaveMap {
        let answer: Result<SmallAnswer, SourceFailure> = await withCheckedContinuation { continuation in
            loop.execute {
                let question = Question.offer(
                    of: pack, to: peer, at: endpoint, wanted: wanted, held: [], after: nil, waitMilliseconds: 0)
                let reader = SmallReader(endpoint, maximumBytes: 1 << 20) { continuation.resume(returning: $0) }
                _ = self.pool.value.ask(question, reader)
            }
        }
        return try answer.get().map(pieceCount, endpoint)
    }
}
