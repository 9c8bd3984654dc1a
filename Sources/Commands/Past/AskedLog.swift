import Client
package import Domain
import Foundation
package import Wire

/// A log whose past can be asked about in SQL: the running system's, or one in files.
package protocol AskedLog: Sendable {
    /// How it was named.
    var name: String { get }

    /// One SELECT over the views as they were at a sequence (nil: now). Rows beyond 10,000 are cut off, and the answer
    /// says so.
    ///
    /// - Throws: `CommandStop` or `ClientFailure`, with a word for the person.
    func query(_ sql: String, at sequence: LogSequence?) async throws -> QueryAnswer

    /// The sequence that a moment means. Refused for what is before its first event or after its end.
    func sequence(of moment: LogMoment) async throws -> LogSequence

    /// What a frame of its kind of log says, in a sentence.
    func words(_ frame: Frame) -> String

    /// Whether it is a region's.
    var isRegional: Bool { get }
}

/// The running system's global log.
struct RunningLog: AskedLog {
    let client: GlobalClient

    var name: String { client.connection.endpoint }
    var isRegional: Bool { false }

    func query(_ sql: String, at sequence: LogSequence?) async throws -> QueryAnswer {
        try await client.query(sql, at: sequence.map(LogMoment.sequence))
    }

    func sequence(of moment: LogMoment) async throws -> LogSequence {
        try await client.query("SELECT 1", at: moment).sequence
    }

    func words(_ frame: Frame) -> String { globalWords(frame) }
}

extension AskedLog {
    /// The end of the log now.
    package func head() async throws -> LogSequence { try await query("SELECT 1", at: nil).sequence }

    /// Rows of a statement that a limit must not cut off.
    func all(_ sql: String, at sequence: LogSequence? = nil) async throws -> [[String: WireValue]] {
        let answer = try await query(sql, at: sequence)
        guard !answer.isTruncated else {
            throw CommandStop(
                .failed, "drover: \(name) gives more than \(answer.rows.count) rows at once: ask for less")
        }
        return answer.rows.map { row in Dictionary(zip(answer.columns, row)) { first, _ in first } }
    }

    /// Diff and explain read the views of the global log only.
    package func requireGlobal() throws {
        guard isRegional else { return }
        throw CommandStop(.refused, "drover: \(name) is a region's log: name the global role's, which knows the whole")
    }
}

extension WireValue {
    /// As a person reads it; NULL is nothing.
    var words: String {
        switch self {
        case .null: ""
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        }
    }

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    var number: UInt64? { integer.flatMap { UInt64(exactly: $0) } }
}
