package import Wire

/// Why a call has no answer that can be used.
package enum ClientFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// No answer came, also not to the repetitions. Whether a change was made is not known.
    case unreachable(String)
    /// The server answered with a problem.
    case problem(Problem)
    /// The server's answer is not what this version understands.
    case badAnswer(String)
    case cancelled

    /// The problem's code; nil for everything else.
    package var code: String? {
        if case .problem(let problem) = self { problem.code } else { nil }
    }

    /// What to tell somebody who asked us and whom we cannot answer because of this.
    package var asProblem: Problem {
        switch self {
        case .problem(let problem): problem
        case .unreachable(let message), .badAnswer(let message): Problem(.unreachable, message)
        case .cancelled: Problem(.notReady, "the process is shutting down: try again shortly")
        }
    }

    package var description: String {
        switch self {
        case .unreachable(let message), .badAnswer(let message): message
        case .problem(let problem): problem.description
        case .cancelled: "the call was cancelled"
        }
    }
}
