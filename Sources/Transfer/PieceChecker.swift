internal import NIOPosix
internal import Swarm
internal import Synchronization

/// Hashes and writes the pieces that arrive, on threads for it; several at once are recorded together.
final class PieceChecker: Sendable {
    enum Result: Hashable {
        case good
        case bad
        case failed(TransferFailure)
    }

    typealias Checked = (work: FetchWork, result: Result)

    private struct State {
        var waiting: [(work: FetchWork, bytes: [UInt8])] = []
        var threads = 0
    }

    private static let maximumThreads = 2

    private let file: PackFile
    private let report: @Sendable ([Checked]) -> Void
    private let state = Mutex(State())

    /// `report` is called on these threads, for every piece once.
    init(_ file: PackFile, report: @escaping @Sendable ([Checked]) -> Void) {
        (self.file, self.report) = (file, report)
    }

    func check(_ work: FetchWork, _ bytes: [UInt8]) {
        let isThreadNeeded = state.withLock { state in
            state.waiting.append((work, bytes))
            guard state.threads < Self.maximumThreads else { return false }
            state.threads += 1
            return true
        }
        if isThreadNeeded { NIOThreadPool.singleton.submit { _ in self.checkAll() } }
    }

    private func checkAll() {
        while let pieces = take() {
            do throws(TransferFailure) {
                var checked: [Checked] = []
                for (work, bytes) in pieces {
                    checked.append((work, try file.write(bytes, piece: work.request.piece) ? .good : .bad))
                }
                try file.record(checked.filter { $0.result == .good }.map(\.work.request.piece))
                report(checked)
            } catch {
                report(pieces.map { ($0.work, .failed(error)) })
            }
        }
    }

    /// Nil when there is nothing: this thread ends.
    private func take() -> [(work: FetchWork, bytes: [UInt8])]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.threads -= 1
                return nil
            }
            defer { state.waiting = [] }
            return state.waiting
        }
    }
}
