import Dispatch
import Domain
import Ports
import Wire

/// Reads the log on threads of its own: a page of it may have to come from the disk. What is in the archive alone is not
/// served: reading that takes long, and whoever asks for it has other ways.
struct LogReading: Sendable {
    let store: any LogStore
    private static let threads = DispatchQueue(label: "drover.api.log", attributes: .concurrent)

    /// Fails with `archived`, and the anchor, when what is behind a sequence begins in the archive.
    func requireStored(after sequence: LogSequence) async throws(Problem) {
        let anchor = try await run { store throws(StoreFailure) in try store.anchor() }
        guard let anchor, sequence < anchor.position.sequence else { return }
        var problem = Problem(
            .archived,
            "the log begins behind sequence \(anchor.position.sequence); what is behind \(sequence) is in the archive "
                + "\(anchor.archive): ask behind the anchor, or look there (`drover restore`)")
        problem.position = anchor.position
        throw problem
    }

    func read(after sequence: LogSequence, maximumFrames: Int) async throws(Problem) -> [FrameBatch] {
        try await requireStored(after: sequence)
        return try await run { store throws(StoreFailure) in
            try store.read(after: sequence, maximumFrames: maximumFrames)
        }
    }

    func position(at sequence: LogSequence) async throws(Problem) -> LogPosition? {
        try await run { store throws(StoreFailure) in try store.position(at: sequence) }
    }

    private func run<T: Sendable>(
        _ body: @escaping @Sendable (any LogStore) throws(StoreFailure) -> T
    ) async throws(Problem) -> T {
        let result: Result<T, StoreFailure> = await withCheckedContinuation { continuation in
            Self.threads.async { [store] in
                do throws(StoreFailure) {
                    continuation.resume(returning: .success(try body(store)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        do throws(StoreFailure) {
            return try result.get()
        } catch {
            throw Problem(code: error.code, status: 500, title: "The log cannot be read", detail: error.message)
        }
    }
}
