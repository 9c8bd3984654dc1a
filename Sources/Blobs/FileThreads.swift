internal import Foundation
internal import Ports

/// A few threads for blocking file calls, so that none of them holds up a thread that tasks run on.
final class FileThreads: Sendable {
    private let queue: OperationQueue

    init(count: Int) {
        queue = OperationQueue()
        queue.name = "drover.blobs"
        queue.maxConcurrentOperationCount = max(1, count)
    }

    func run<Value: Sendable>(
        _ work: @escaping @Sendable () throws(BlobFailure) -> Value
    ) async throws(BlobFailure) -> Value {
        let result = await withCheckedContinuation { continuation in
            queue.addOperation {
                continuation.resume(returning: Result { () throws(BlobFailure) in try work() })
            }
        }
        return try result.get()
    }
}
