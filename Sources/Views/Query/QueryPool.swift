import Dispatch
import Domain
import Synchronization

/// A bounded number of connections for queries, each on a thread of its own.
final class QueryPool: Sendable {
    /// One thread and its connections, opened when first wanted.
    private final class Slot: @unchecked Sendable {
        let queue: DispatchQueue
        /// Used on `queue` only.
        var present, past: QueryConnection?

        init(_ number: Int) { queue = DispatchQueue(label: "drover.views.query.\(number)") }
    }

    private struct State {
        /// Queries running and waiting, a slot.
        var loads: [Int]
        /// What stops each of them.
        var cancellations: [ObjectIdentifier: QueryCancellation] = [:]
        /// Set once: nothing more is run, and why.
        var closed: ViewsFailure?
    }

    private let path: String
    private let settings: ViewSettings
    private let slots: [Slot]
    private let state: Mutex<State>

    init(path: String, settings: ViewSettings) {
        (self.path, self.settings) = (path, settings)
        let count = max(1, settings.queryConnections)
        slots = (0..<count).map(Slot.init)
        state = Mutex(State(loads: Array(repeating: 0, count: count)))
    }

    func run(_ request: QueryRequest) async throws(ViewsFailure) -> QueryResult {
        let cancellation = QueryCancellation()
        let index = try take(cancellation)
        let result: Result<QueryResult, ViewsFailure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let slot = slots[index]
                slot.queue.async { [self] in
                    let result = self.result(request, on: slot, cancellation)
                    state.withLock { state in
                        state.loads[index] -= 1
                        state.cancellations[ObjectIdentifier(cancellation)] = nil
                    }
                    continuation.resume(returning: result)
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    /// Stops the queries that run, and closes every connection. Who waits is told this reason.
    func close(_ reason: ViewsFailure) {
        let running = state.withLock { state in
            state.closed = state.closed ?? reason
            return Array(state.cancellations.values)
        }
        for query in running { query.cancel() }
        for slot in slots {
            slot.queue.sync {
                slot.present = nil
                slot.past = nil
            }
        }
    }

    /// The slot with the fewest queries.
    private func take(_ cancellation: QueryCancellation) throws(ViewsFailure) -> Int {
        try state.withLock { state throws(ViewsFailure) in
            if let closed = state.closed { throw closed }
            let waiting = state.loads.reduce(0) { $0 + max(0, $1 - 1) }
            guard waiting < settings.maximumPendingQueries else {
                throw ViewsFailure(.busy, "\(waiting) queries wait already: try again shortly")
            }
            let index = state.loads.indices.min { state.loads[$0] < state.loads[$1] } ?? 0
            state.loads[index] += 1
            state.cancellations[ObjectIdentifier(cancellation)] = cancellation
            return index
        }
    }

    private func result(
        _ request: QueryRequest, on slot: Slot, _ cancellation: QueryCancellation
    ) -> Result<QueryResult, ViewsFailure> {
        if let closed = state.withLock({ $0.closed }) { return .failure(closed) }
        if cancellation.isCancelled { return .failure(.cancelled) }
        do throws(ViewsFailure) {
            return .success(try connection(of: slot, readsPast: request.sequence != nil).run(request, cancellation))
        } catch {
            guard error.code == .cancelled, let closed = state.withLock({ $0.closed }) else { return .failure(error) }
            return .failure(closed)
        }
    }

    private func connection(of slot: Slot, readsPast: Bool) throws(ViewsFailure) -> QueryConnection {
        if let known = readsPast ? slot.past : slot.present { return known }
        let made = try QueryConnection(path: path, readsPast: readsPast, settings: settings)
        if readsPast { slot.past = made } else { slot.present = made }
        return made
    }
}
