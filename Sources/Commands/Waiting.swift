import Client
import Domain
import Foundation
import Glibc
import Synchronization
import UnixSignals
import Wire

/// Asks again while the server is away: what is waited for goes on without us.
struct PatientQuestions {
    static let retryMilliseconds: Int64 = 1000

    /// When to stop waiting; nil for never.
    let deadline: ContinuousClock.Instant?
    /// Where it is said that we are cut off.
    let progress: ProgressLine

    /// - Throws: what the server answers; `unreachable` only after the deadline.
    func ask<Answer>(_ question: () async throws -> Answer) async throws -> Answer {
        while true {
            do {
                return try await question()
            } catch let failure as ClientFailure where failure.mayPass && !isOver(deadline) {
                progress.show("cut off, asking again: \(failure)")
                try await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
            }
        }
    }
}

extension ClientFailure {
    /// The server is away, or not ready yet.
    fileprivate var mayPass: Bool {
        switch self {
        case .unreachable: true
        case .problem(let problem): problem.status == 503 || problem.status == 502
        case .badAnswer, .cancelled: false
        }
    }
}

/// Ctrl-C and TERM let go of what is waited for, say how to come back, and end with 130 and 143.
enum Interruption {
    private static let hint = Mutex("")
    private static let scratch = Mutex(Set<String>())
    private static let ending = Mutex<(@Sendable () async -> Void)?>(nil)

    /// What to say if it comes from now on; empty for nothing.
    static func say(_ text: String) { hint.withLock { $0 = text } }

    /// What to do before anything is removed: end whoever still writes there.
    static func first(_ work: (@Sendable () async -> Void)?) { ending.withLock { $0 = work } }

    /// A temporary directory that is to go with the process.
    static func remove(_ path: String) { scratch.withLock { _ = $0.insert(path) } }

    /// One that has gone.
    static func removed(_ path: String) { scratch.withLock { _ = $0.remove(path) } }

    /// Ends the process when it comes; returns when cancelled.
    static func watch() async {
        for await signal in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
            ProgressLine.clear()
            Terminal.complain(hint.withLock { $0 })
            await ending.withLock { $0 }?()
            for path in scratch.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
            Keyboard.giveBack()
            exit((signal == .sigterm ? CommandExit.terminated : .interrupted).rawValue)
        }
    }
}
