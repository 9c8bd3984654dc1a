package import Codec
import Dispatch
package import Domain
import Foundation
package import Logging
package import Ports
import Synchronization

/// SQL views of one log, in a file of their own: the log's events, and versioned rows of what they amount to.
///
/// The rows and the position they are true at change in one transaction, so every event counts exactly once, whatever
/// dies when. The file can be thrown away at any time: it is made again from the log.
///
/// Updates block; call them from one thread behind the engine. Reads run on the views' own threads.
package final class Views<Mapping: ViewMapping>: Sendable {
    /// How the file was found.
    package enum Opening: Hashable, Sendable {
        case kept
        case created
        /// It could not be used, and a new one was begun. The message says why.
        case replaced(String)
        /// Another version made it. It is read, at its position, until `catchUp` has made a new one beside it.
        case outdated
    }

    /// What queries run on.
    private struct Shared {
        var queries: QueryPool?
        var position: LogPosition?
        var isClosed = false
        /// Whether reads see another version's file, which goes when a new one is whole.
        var isOutdated = false
        /// How often the file was made again.
        var rebuilds = 0
    }

    package let path: String
    package let opening: Opening
    let codec: any EventCodec<Mapping.Event>
    let settings: ViewSettings
    let logger: Logger
    /// Held during an update; nil once closed, and after a failure in putting a new file in its place.
    private let file: Mutex<ViewFile<Mapping>?>
    private let shared: Mutex<Shared>
    private let signal: PositionSignal
    private let updates = DispatchQueue(label: "drover.views.updates")

    private init(
        _ file: ViewFile<Mapping>, _ opening: Opening, _ codec: any EventCodec<Mapping.Event>, _ settings: ViewSettings,
        _ logger: Logger
    ) {
        (path, self.opening, self.codec) = (file.path, opening, codec)
        (self.settings, self.logger) = (settings, logger)
        shared = Mutex(Shared())
        signal = PositionSignal(maximumWaits: settings.maximumWaits)
        self.file = Mutex(file)
        serve(file)
    }

    /// Another version's file, for reading alone.
    private init(
        outdated path: String, at position: LogPosition?, _ codec: any EventCodec<Mapping.Event>,
        _ settings: ViewSettings, _ logger: Logger
    ) {
        (self.path, opening, self.codec) = (path, .outdated, codec)
        (self.settings, self.logger) = (settings, logger)
        shared = Mutex(
            Shared(queries: QueryPool(path: path, settings: settings), position: position, isOutdated: true))
        signal = PositionSignal(maximumWaits: settings.maximumWaits)
        file = Mutex(nil)
        signal.move(to: position?.sequence ?? .zero)
    }

    /// Opens the views' file. One that is missing or damaged is begun anew, one of another version is read meanwhile;
    /// `catchUp` fills or makes it.
    package static func open(
        path: String, codec: any EventCodec<Mapping.Event>, settings: ViewSettings = ViewSettings(), logger: Logger
    ) throws(ViewsFailure) -> Views {
        let isNew = !FileManager.default.fileExists(atPath: path)
        do throws(ViewsFailure) {
            let file = try ViewFile<Mapping>(path: path, mode: .live, codec: codec, settings: settings)
            return Views(file, isNew ? .created : .kept, codec, settings, logger)
        } catch {
            if error.code == .outdated, let old = try? ComparedFile(path, schema: Mapping.schema) {
                let position = try? old.position
                return Views(outdated: path, at: position, codec, settings, logger)
            }
            guard error.code == .damaged || error.code == .outdated else { throw error }
            logger.warning("the views are made again", metadata: ["reason": "\(error.message)"])
            try ViewFile<Mapping>.remove(path)
            let file = try ViewFile<Mapping>(path: path, mode: .live, codec: codec, settings: settings)
            return Views(file, .replaced(error.message), codec, settings, logger)
        }
    }

    /// The end of what reads see; nil before the first batch, and while the views are made again.
    package var position: LogPosition? { shared.withLock { $0.position } }

    /// Whether reads see what another version of Drover made, true at `position`, while a new file is being made.
    package var isOutdated: Bool { shared.withLock { $0.isOutdated } }

    /// How often the file was made again since it was opened: more often than now and then is a defect.
    package var rebuilds: Int { shared.withLock { $0.rebuilds } }

    /// Writes whole batches and their end in one transaction.
    ///
    /// Fails with `views-forked` when they do not continue the views, down to the chain's hash: rebuild then.
    package func apply(_ batches: [FrameBatch]) throws(ViewsFailure) {
        try withFile { file throws(ViewsFailure) in
            try file.apply(batches, provingChain: true)
            serve(file)
        }
    }

    /// Brings the views to the store's end. Makes them again where they are damaged or not on the store's chain,
    /// and where an empty file is far behind. Answers the position reached.
    @discardableResult
    package func catchUp(
        from store: any LogStore, progress: (ViewProgress) -> Void = { _ in }
    ) throws(ViewsFailure) -> LogPosition {
        do throws(ViewsFailure) {
            if let position = try follow(store, progress) { return position }
        } catch {
            guard error.code == .forked || error.code == .damaged || error.code == .outdated else { throw error }
            logger.warning("the views are made again", metadata: ["reason": "\(error.message)"])
        }
        return try rebuild(from: store, progress: progress)
    }

    /// Nil when making the file again is faster.
    private func follow(
        _ store: any LogStore, _ progress: (ViewProgress) -> Void
    ) throws(ViewsFailure) -> LogPosition? {
        let head = try reading { () throws(StoreFailure) in try store.head() }
        return try withFile { file throws(ViewsFailure) in
            if let position = file.position {
                guard try isOnChain(position, store) else {
                    throw ViewsFailure(.forked, "they are at \(position.sequence), which is not on the log's chain")
                }
            } else if head.sequence.rawValue >= settings.rebuildEvents {
                return nil
            }
            try follow(store, into: file, goal: head.sequence) {
                serve(file)
                progress($0)
            }
            serve(file)
            return file.position ?? .start(of: store.identity)
        }
    }

    /// Makes the views again beside the old file, then takes its place. Until then reads wait or are told
    /// `views-behind`, unless the old file is another version's, which they go on to see; after a failure the next
    /// update reads from what file there is.
    @discardableResult
    package func rebuild(
        from store: any LogStore, progress: (ViewProgress) -> Void = { _ in }
    ) throws(ViewsFailure) -> LogPosition {
        let head = try reading { () throws(StoreFailure) in try store.head() }
        let position = try remake { file throws(ViewsFailure) in
            try copy(store, into: file, upTo: nil, goal: head.sequence, each: progress)
        }
        return position ?? .start(of: store.identity)
    }

    /// Makes the views again from batches that the body gives, in order and from the first, to the closure it is lent;
    /// each batch is proved on the chain. What the body throws comes out as it is.
    package func rebuild(
        from body: (_ take: ([FrameBatch]) throws(ViewsFailure) -> Void) throws -> Void
    ) throws {
        var problem: (any Error)?
        do throws(ViewsFailure) {
            try remake { file throws(ViewsFailure) in
                do {
                    try body { batches throws(ViewsFailure) in
                        if isClosed { throw .closed }
                        try file.apply(batches, provingChain: true)
                    }
                } catch {
                    problem = error
                    throw ViewsFailure(error)
                }
            }
        } catch {
            throw problem ?? error
        }
    }

    @discardableResult
    private func remake(
        _ fill: (ViewFile<Mapping>) throws(ViewsFailure) -> Void
    ) throws(ViewsFailure) -> LogPosition? {
        let fresh = path + ".rebuild"
        return try file.withLock { file throws(ViewsFailure) in
            if isClosed { throw .closed }
            if !isOutdated { stopServing() }
            shared.withLock { $0.rebuilds += 1 }
            try make(fresh, filling: fill)
            stopServing()
            // A damaged file may not close well; it goes either way.
            try? file?.close()
            file = nil
            try ViewFile<Mapping>.remove(path)
            try replaceFile(path, by: fresh)
            let made = try ViewFile<Mapping>(path: path, mode: .live, codec: codec, settings: settings)
            file = made
            serve(made)
            return made.position
        }
    }

    /// Ends reads and closes the file; a long update gives up first. Idempotent. Blocks.
    package func close() {
        let queries = shared.withLock { shared in
            shared.isClosed = true
            shared.position = nil
            defer { shared.queries = nil }
            return shared.queries
        }
        queries?.close(.closed)
        signal.close()
        file.withLock { file in
            do throws(ViewsFailure) { try file?.close() } catch {
                logger.warning("the views did not close well", metadata: ["reason": "\(error.message)"])
            }
            file = nil
        }
    }
}

extension Views {
    /// Waits until the views hold a sequence; fails with `views-behind` when they do not in time.
    package func waitUntil(_ sequence: LogSequence, timeoutMilliseconds: Int) async throws(ViewsFailure) {
        try await signal.wait(for: sequence, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Lets events gather, so that many are written in one transaction; at once over when somebody waits for a sequence.
    package func rest(milliseconds: Int) async { await signal.rest(milliseconds: milliseconds) }

    /// Runs one SELECT of anybody's, now or as of a sequence; the same SQL works for both.
    ///
    /// Parameters `?1`, `?2`, ... take `arguments`. Fails with `bad-sql`, `refused`, `too-slow`, `too-large`, `busy`,
    /// and with `views-behind` for a sequence that is not there yet.
    package func query(
        _ sql: String, arguments: [SQLValue] = [], at sequence: LogSequence? = nil, limits: QueryLimits = QueryLimits()
    ) async throws(ViewsFailure) -> QueryResult {
        let queries = try shared.withLock { shared throws(ViewsFailure) in
            if shared.isClosed { throw .closed }
            guard let queries = shared.queries else {
                throw ViewsFailure.rebuilding
            }
            return queries
        }
        return try await queries.run(
            QueryRequest(sql: sql, arguments: arguments, sequence: sequence, limits: limits))
    }

    /// `catchUp` on the views' own thread.
    @discardableResult
    package func catchUp(
        from store: any LogStore, progress: @escaping @Sendable (ViewProgress) -> Void = { _ in }
    ) async throws(ViewsFailure) -> LogPosition {
        try await updating { () throws(ViewsFailure) in try self.catchUp(from: store, progress: progress) }
    }

    /// `rebuild` on the views' own thread.
    @discardableResult
    package func rebuild(
        from store: any LogStore, progress: @escaping @Sendable (ViewProgress) -> Void = { _ in }
    ) async throws(ViewsFailure) -> LogPosition {
        try await updating { () throws(ViewsFailure) in try self.rebuild(from: store, progress: progress) }
    }

    /// `difference` on the views' own thread.
    package func difference(from store: any LogStore) async throws(ViewsFailure) -> ViewDifference? {
        try await updating { () throws(ViewsFailure) in try self.difference(from: store) }
    }

    private func updating<T: Sendable>(
        _ body: @escaping @Sendable () throws(ViewsFailure) -> T
    ) async throws(ViewsFailure) -> T {
        let result: Result<T, ViewsFailure> = await withCheckedContinuation { continuation in
            updates.async {
                do throws(ViewsFailure) { continuation.resume(returning: .success(try body())) } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// `close` on a thread of its own, as an update may have to end first.
    package func closeAside(then done: @escaping @Sendable () -> Void = {}) {
        DispatchQueue.global().async {
            self.close()
            done()
        }
    }

    /// Whether a long update should give up.
    var isClosed: Bool { shared.withLock { $0.isClosed } }

    private func withFile<T>(_ body: (ViewFile<Mapping>) throws(ViewsFailure) -> T) throws(ViewsFailure) -> T {
        try file.withLock { file throws(ViewsFailure) in
            if isClosed { throw .closed }
            if let file { return try body(file) }
            let opened = try ViewFile<Mapping>(path: path, mode: .live, codec: codec, settings: settings)
            file = opened
            return try body(opened)
        }
    }

    /// Lets reads see what a file holds now.
    private func serve(_ file: ViewFile<Mapping>) {
        shared.withLock { shared in
            if shared.isClosed { return }
            shared.position = file.position
            guard shared.queries == nil else { return }
            shared.queries = QueryPool(path: path, settings: settings)
        }
        signal.move(to: file.position?.sequence ?? .zero)
    }

    private func stopServing() {
        let queries = shared.withLock { shared in
            (shared.position, shared.isOutdated) = (nil, false)
            defer { shared.queries = nil }
            return shared.queries
        }
        queries?.close(.rebuilding)
        signal.move(to: .zero)
    }
}
