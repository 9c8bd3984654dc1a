package import Domain

/// What went wrong with one request, as RFC 9457 writes it (`application/problem+json`), with Drover's stable code.
package struct Problem: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// `urn:drover:problem:CODE`.
    package var type: String
    /// The same for every problem of the code.
    package var title: String
    package var status: Int
    /// One sentence that says what is so and what to do.
    package var detail: String
    /// A refusal's code or a transport's; what programs look at.
    package var code: String
    /// The sequence at which the command was refused; nil where no decision was made.
    package var sequence: LogSequence?
    /// With code `forked`: the last position that the caller's log and this one have in common. With `archived`: the
    /// anchor, behind which the log is stored.
    package var position: LogPosition?

    package init(
        code: String, status: Int, title: String, detail: String, sequence: LogSequence? = nil,
        position: LogPosition? = nil
    ) {
        type = "urn:drover:problem:\(code)"
        (self.code, self.status, self.title, self.detail) = (code, status, title, detail)
        (self.sequence, self.position) = (sequence, position)
    }

    package init(_ code: TransportCode, _ detail: String, sequence: LogSequence? = nil) {
        self.init(code: code.rawValue, status: code.status, title: code.title, detail: detail, sequence: sequence)
    }

    package init(_ refusal: Refusal, at sequence: LogSequence? = nil) {
        self.init(
            code: refusal.code.rawValue, status: refusal.code.status, title: refusal.code.title,
            detail: refusal.message, sequence: sequence)
    }

    /// The refusal's code; nil for a transport's.
    package var refusalCode: RefusalCode? { RefusalCode(rawValue: code) }

    /// The transport's code; nil for a refusal's.
    package var transportCode: TransportCode? { TransportCode(rawValue: code) }

    package var description: String { "\(detail) [\(code)]" }
}

/// Codes of problems that no decision made: the request itself, or the state of the server.
package enum TransportCode: String, Hashable, Sendable, CaseIterable {
    case badJSON = "bad-json"
    case badQuery = "bad-query"
    case badPath = "bad-path"
    case badHeader = "bad-header"
    case badContentType = "bad-content-type"
    case tooLarge = "too-large"
    case invalid
    case notFound = "not-found"
    case foreignHost = "foreign-host"
    case foreignOrigin = "foreign-origin"
    case viewsBehind = "views-behind"
    case outcomeUnknown = "outcome-unknown"
    case notReady = "not-ready"
    case busy
    case forked
    /// What is asked for is not in the log any more: it is in the archive that the detail names.
    case archived
    case badSQL = "bad-sql"
    /// Another process that must answer (a region) does not.
    case unreachable
    case internalFailure = "internal"

    package var status: Int {
        switch self {
        case .badJSON, .badQuery, .badPath, .badHeader, .badSQL: 400
        case .badContentType: 415
        case .tooLarge: 413
        case .invalid: 422
        case .notFound: 404
        case .foreignHost: 421
        case .foreignOrigin: 403
        case .forked: 409
        case .archived: 410
        case .viewsBehind, .outcomeUnknown, .notReady, .busy: 503
        case .unreachable: 502
        case .internalFailure: 500
        }
    }

    package var title: String {
        switch self {
        case .badJSON: "The body is not valid JSON"
        case .badQuery: "A query parameter is not valid"
        case .badPath: "A part of the path is not valid"
        case .badHeader: "A header is not valid"
        case .badContentType: "The body must be application/json"
        case .tooLarge: "The request is too large"
        case .invalid: "A field is not valid"
        case .notFound: "There is nothing here"
        case .foreignHost: "This server does not answer under that name"
        case .foreignOrigin: "Requests from other sites are refused"
        case .viewsBehind: "The views have not caught up"
        case .outcomeUnknown: "It is not known whether the change was made"
        case .notReady: "The server is not ready"
        case .busy: "The server has too much to do"
        case .forked: "The position is not on this log's chain"
        case .archived: "That part of the log is in its archive"
        case .badSQL: "The query cannot be answered"
        case .unreachable: "Another server does not answer"
        case .internalFailure: "The server failed"
        }
    }
}

extension RefusalCode {
    /// The HTTP status of a refusal.
    package var status: Int {
        switch self {
        case .invalid, .keyReused: 422
        case .tooLarge: 413
        case .limitReached: 429
        case .notLeader: 503
        case .unknownJob, .unknownWorker, .unknownRegion, .unknownPeer, .unknownBuild, .unknownDeployment: 404
        case .jobEnded, .buildGone, .buildRetired, .regionRemoved, .deploymentEnded: 410
        case .revisionConflict: 412
        case .storeFull: 507
        case .levelTooLow, .staleAttempt, .leaseNotOver, .artifactMismatch, .workerDraining, .regionSuspended,
            .buildKept,
            .notReplicated, .noRegion, .appLocked, .noPrevious, .alreadyTarget, .forked, .outOfOrder:
            409
        }
    }

    /// The code's words, as a sentence's beginning: `Stale attempt`.
    package var title: String {
        let words = rawValue.split(separator: "-").joined(separator: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }
}
