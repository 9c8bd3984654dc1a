package import Domain
package import Logging
internal import NIOCore
internal import NIOPosix
package import Packs
package import Ports
package import Swarm
internal import Synchronization

package struct FetchSettings: Hashable, Sendable {
    package var picker = PickerSettings()
    package var file = PackFileSettings()
    /// Non-nil: the fetched pack is served with a ledger, as a mirror's.
    package var ledger: MirrorLedgerSettings?
    /// How long a mirror may keep a question about its offer waiting: short, because each says what is wanted now.
    package var offerWaitMilliseconds: Int64 = 1_000
    /// Between two questions to one source, so that news comes in batches.
    package var pauseMilliseconds: Int64 = 20
    /// After a question that failed; doubled at each further failure in a row, up to the maximum.
    package var retryMilliseconds: Int64 = 250
    package var maximumRetryMilliseconds: Int64 = 10_000
    /// Sources followed at once, and remembered.
    package var maximumSources = 64

    package init() {}
}

/// Whom a fetch may ask. Regions that mirror from regions name mirrors only.
package struct FetchSources: Hashable, Sendable {
    package var mirrors: [PackEndpoint]
    package var neighbours: [PackEndpoint]

    package init(mirrors: [PackEndpoint] = [], neighbours: [PackEndpoint] = []) {
        (self.mirrors, self.neighbours) = (mirrors, neighbours)
    }
}

/// How far a fetch is. Bytes are those of whole pieces that arrived, good or bad, since the fetch was opened.
package struct FetchProgress: Hashable, Sendable {
    package var verifiedPieces: Int
    package var pieceCount: Int
    package var verifiedBytes: UInt64
    package var totalBytes: UInt64
    package var bytesFromPeers: UInt64
    package var bytesFromMirrors: UInt64
    /// Pieces that were not what the manifest names.
    package var badPieces: UInt64

    package var isComplete: Bool { verifiedPieces == pieceCount }
}

/// Fetches one pack from neighbours and mirrors, piece by piece: each is hashed, written, then offered to others by
/// `shared`. `run` does it; it tries for ever, until the pack is whole, the disk fails or the task is cancelled.
/// What was verified survives every end of the process.
///
/// The manifest must have been verified by the caller (`Manifest.verify`).
package final class PackFetcher: Sendable {
    /// What a `PieceServer` of this process should serve meanwhile, and after.
    package let shared: SharedPack
    package let manifest: Manifest
    let file: PackFile
    let client: PieceClient
    let peer: PeerName
    let settings: FetchSettings
    let clock: any ClockSource
    let logger: Logger
    let seed: UInt64
    let state: Mutex<FetchState>
    /// The client's loop's own: what is done now.
    private let current: NIOLoopBoundBox<FetchRun?>

    /// Opens the partial file, on a thread of its own. `peer`: the name this process gives itself at mirrors.
    package static func open(
        manifest: Manifest, finalPath: String, sources: FetchSources, peer: PeerName, client: PieceClient,
        clock: any ClockSource, settings: FetchSettings = FetchSettings(), seed: UInt64, logger: Logger
    ) async throws(TransferFailure) -> PackFetcher {
        let file = try await onThread { () throws(TransferFailure) in
            try PackFile(manifest: manifest, finalPath: finalPath, settings: settings.file)
        }
        let shared = try SharedPack(
            manifest: manifest, paths: [file.partialPath, file.finalPath], verified: file.verified, clock: clock,
            ledger: settings.ledger, seed: seed)
        let fetcher = PackFetcher(file, shared, client, peer, settings, clock, logger, seed)
        fetcher.setSources(sources)
        return fetcher
    }

    private init(
        _ file: PackFile, _ shared: SharedPack, _ client: PieceClient, _ peer: PeerName, _ settings: FetchSettings,
        _ clock: any ClockSource, _ logger: Logger, _ seed: UInt64
    ) {
        (self.file, self.shared, self.client, self.peer) = (file, shared, client, peer)
        (self.settings, self.clock, self.logger, manifest) = (settings, clock, logger, file.manifest)
        self.seed = seed
        current = .makeEmptyBox(valueType: FetchRun.self, eventLoop: client.loop)
        state = Mutex(
            FetchState(
                picker: PiecePicker(
                    layout: file.layout, verified: file.verified, settings: settings.picker, seed: seed),
                maximumSources: settings.maximumSources))
    }

    package var progress: FetchProgress {
        state.withLock { state in
            let (layout, verified) = (file.layout, state.picker.verified)
            return FetchProgress(
                verifiedPieces: verified.count, pieceCount: layout.pieceCount,
                verifiedBytes: verified.pieces.reduce(0) { $0 + layout.bytes(of: $1) },
                totalBytes: layout.totalBytes, bytesFromPeers: state.bytes[.peer] ?? 0,
                bytesFromMirrors: state.bytes[.mirror] ?? 0, badPieces: state.badPieces)
        }
    }

    /// Replaces whom to ask; may be called at any time.
    package func setSources(_ sources: FetchSources) {
        state.withLock { $0.setSources(sources) }
        let current = current
        client.loop.execute { current.value?.decideSoon() }
    }

    /// Whether this source is banned for a bad piece just now.
    package func isBanned(_ endpoint: PackEndpoint) -> Bool {
        let now = now
        return state.withLock { state in
            state.ids[endpoint].map { state.picker.isBanned($0, now: now) } ?? false
        }
    }

    var now: Timestamp { Timestamp(milliseconds: clock.read().monotonicMilliseconds) }

    /// Returns when the whole pack is at its final path, verified and durable.
    package func run() async throws(TransferFailure) {
        let (loop, current) = (client.loop, current)
        let failure = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute {
                    let run = FetchRun(self) { failure in
                        current.value = nil
                        continuation.resume(returning: failure)
                    }
                    current.value = run
                    run.begin()
                }
            }
        } onCancel: {
            let failure = TransferFailure(
                .cancelled, "the fetch of \(manifest.packName) was cancelled; run it again to go on")
            // Queued behind the beginning.
            loop.execute { loop.execute { current.value?.end(failure) } }
        }
        if let failure { throw failure }
        let file = file
        try await onThread { () throws(TransferFailure) in try file.finish() }
    }
}

/// Runs blocking work on the thread pool for it.
func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws(TransferFailure) -> Value
) async throws(TransferFailure) -> Value {
    do {
        return try await NIOThreadPool.singleton.runIfActive { try body() }
    } catch let failure as TransferFailure {
        throw failure
    } catch {
        throw TransferFailure(.cancelled, "the work was cancelled before it began; ask again")
    }
}
