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
        var isClosed = false
    }

    private let path: String
    private let schema: ViewSchema
    private let settings: ViewSettings
    private let slots: [Slot]
    private let state: Mutex<State>

    init(path: String, schema: ViewSchema, settings: ViewSettings) {
        (self.path, self.schema, self.settings) = (path, schema, settings)
        let count = max(1, settings.queryConnections)
        slots = (0..<count).map(Slot.init)
        state = Mutex(State(loads: Array(repeating: 0, count: count)))
    }

    func run(_ request: QueryRequest) async throws(ViewsFailure) -> QueryResult {
        let index = try take()
        let cancellation = QueryCancellation()
        let result: Result<QueryResult, ViewsFailure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let slot = slots[index]
                slot.queue.async { [self] in
                    let result = self.result(request, on: slot, cancellation)
                    state.withLock { $0.loads[index] -= 1 }
                    continuation.resume(returning: result)
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    /// Waits for the queries that run, and closes every connection.
    func close() {
        state.withLock { $0.isClosed = true }
        for slot in slots {
            slot.queue.sync {
                slot.present = nil
                slot.past = nil
            }
        }
    }

    /// The slot with the fewest queries.
    private func take() throws(ViewsFailure) -> Int {
        try state.withLock { state throws(ViewsFailure) in
            if state.isClosed { throw .closed }
            let waiting = state.loads.reduce(0) { $0 + max(0, $1 - 1) }
            guard waiting < settings.maximumPendingQueries else {
                throw ViewsFailure(.busy, "\(waiting) queries wait already: try again shortly")
            }
            let index = state.loads.indices.min { state.loads[$0] < state.loads[$1] } ?? 0
            state.loads[index] += 1
            return index
        }
    }

    private func result(
        _ request: QueryRequest, on slot: Slot, _ cancellation: QueryCancellation
    ) -> Result<QueryResult, ViewsFailure> {
        if cancellation.isCancelled { return .failure(.cancelled) }
        if state.withLock({ $0.isClosed }) { return .failure(.closed) }
        do throws(ViewsFailure) {
            return .success(try connection(of: slot, readsPast: request.sequence != nil).run(request, cancellation))
        } catch {
            return .failure(error)
        }
    }

    private func connection(of slot: Slot, readsPast: Bool) throws(ViewsFailure) -> QueryConnection {
        if let known = readsPast ? slot.past : slot.present { return known }
        let made = try QueryConnection(
            path: path, schema: schema, readsPast: readsPast, settings: settings)
        if readsPast { slot.past = made } else { slot.present = made }
        return made
    }
}
