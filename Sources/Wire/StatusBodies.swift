package import Domain

/// `GET /v1/status`: everything a person wants on one page.
package struct StatusBody: Hashable, Sendable, Codable {
    package struct Jobs: Hashable, Sendable, Codable {
        package var queued: Int
        package var running: Int
        package var succeeded: Int
        package var failed: Int

        package init(queued: Int, running: Int, succeeded: Int, failed: Int) {
            (self.queued, self.running, self.succeeded, self.failed) = (queued, running, succeeded, failed)
        }
    }

    package var log: LogIdentity
    package var epoch: Epoch
    package var sequence: LogSequence
    /// Nil at a sequence of the past that is not the end of a batch.
    package var chain: Digest?
    package var version: String
    package var jobs: Jobs
    package var builds: Int
    package var regions: [RegionBody]
    package var workers: [WorkerBody]
    package var targets: [TargetBody]
    /// Open ones, newest first.
    package var deployments: [DeploymentBody]
    /// Absent where the global process keeps no backup.
    package var backup: BackupBody?
    /// Absent while workers get jobs.
    package var claimsStopped: ClaimsStoppedBody?

    package enum CodingKeys: String, CodingKey {
        case log, epoch, sequence, chain, version, jobs, builds, regions, workers, targets, deployments, backup
        case claimsStopped = "claims_stopped"
    }

    package init(
        position: LogPosition, version: String, jobs: Jobs, builds: Int, regions: [RegionBody], workers: [WorkerBody],
        targets: [TargetBody], deployments: [DeploymentBody]
    ) {
        self.init(
            log: position.log, epoch: position.epoch, sequence: position.sequence, chain: position.chain,
            version: version, jobs: jobs, builds: builds, regions: regions, workers: workers, targets: targets,
            deployments: deployments)
    }

    package init(
        log: LogIdentity, epoch: Epoch, sequence: LogSequence, chain: Digest?, version: String, jobs: Jobs,
        builds: Int, regions: [RegionBody], workers: [WorkerBody], targets: [TargetBody],
        deployments: [DeploymentBody]
    ) {
        (self.log, self.epoch, self.sequence, self.chain) = (log, epoch, sequence, chain)
        (self.version, self.jobs, self.builds) = (version, jobs, builds)
        (self.regions, self.workers, self.targets) = (regions, workers, targets)
        self.deployments = deployments
    }
}

/// What a log's backup has come to.
package struct BackupBody: Hashable, Sendable, Codable {
    /// The newest proof: a restore that came to the engine's own state.
    package struct Proof: Hashable, Sendable, Codable {
        /// Up to which it was restored.
        package var sequence: LogSequence
        package var at: WireTime

        package init(sequence: LogSequence, at: WireTime) { (self.sequence, self.at) = (sequence, at) }
    }

    /// Where it is.
    package var place: String
    /// Everything up to here is in it; absent until the first round since the process started.
    package var sequence: LogSequence?
    /// Why the last round failed; absent when it did not.
    package var problem: String?
    package var proof: Proof?
    /// Why the last proof failed; absent when it did not.
    package var proofProblem: String?

    enum CodingKeys: String, CodingKey {
        case place, sequence, problem, proof
        case proofProblem = "proof_problem"
    }

    package init(place: String, sequence: LogSequence?, problem: String?, proof: Proof?, proofProblem: String?) {
        (self.place, self.sequence, self.problem) = (place, sequence, problem)
        (self.proof, self.proofProblem) = (proof, proofProblem)
    }
}

/// `GET /healthz`, `GET /readyz`.
package struct HealthBody: Hashable, Sendable, Codable {
    /// `ok`.
    package var status: String
    package var sequence: LogSequence

    package init(status: String, sequence: LogSequence) { (self.status, self.sequence) = (status, sequence) }
}

/// `POST /v1/query`.
package struct QueryBody: WireRequest, Hashable {
    /// One SELECT over the views.
    package var sql: String
    /// The moment that the views are read at; nil for now.
    package var at: LogMoment?

    package enum CodingKeys: String, CodingKey, CaseIterable { case sql, at }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(sql: String, at: LogMoment? = nil) { (self.sql, self.at) = (sql, at) }
}

package struct QueryAnswer: Hashable, Sendable, Codable {
    package var columns: [String]
    package var rows: [[WireValue]]
    /// The sequence that the rows are true at.
    package var sequence: LogSequence
    /// Whether a limit cut rows off.
    package var isTruncated: Bool

    package enum CodingKeys: String, CodingKey {
        case columns, rows, sequence
        case isTruncated = "truncated"
    }

    package init(columns: [String], rows: [[WireValue]], sequence: LogSequence, isTruncated: Bool = false) {
        (self.columns, self.rows, self.sequence, self.isTruncated) = (columns, rows, sequence, isTruncated)
    }
}

/// One value of a query's row.
package enum WireValue: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    /// Blobs come as hexadecimal text.
    case text(String)
}

extension WireValue: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .real(value)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .integer(let value): try container.encode(value)
        case .real(let value): try value.isFinite ? container.encode(value) : container.encode("\(value)")
        case .text(let value): try container.encode(value)
        }
    }
}

/// The names of headers that are Drover's own.
package enum WireHeader {
    /// The sequence an answer is true at.
    package static let sequence = "Drover-Sequence"
    /// Who acts, as in `person:ada`.
    package static let actor = "Drover-Actor"
    /// One logical change, however often it is sent; 1 to `maximumKeyBytes` printable ASCII characters.
    package static let idempotencyKey = "Idempotency-Key"
    package static let maximumIdempotencyKeyBytes = 100
}

/// An actor's text form, `kind:name`, as headers carry it.
package enum WireActor {
    /// Nil unless the kind is one that may call from outside and the name is 1 to 63 printable ASCII characters.
    package static func parse(_ text: String) -> EventActor? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, isPrintable(parts[1], maximumBytes: maximumNameBytes) else { return nil }
        let name = String(parts[1])
        switch parts[0] {
        case "person": return .person(name)
        case "worker": return WorkerName(rawValue: name).map(EventActor.worker)
        case "region": return RegionName(rawValue: name).map(EventActor.region)
        case "peer": return PeerName(rawValue: name).map(EventActor.peer)
        default: return nil
        }
    }

    /// 1 to this many printable ASCII characters, no space.
    package static func isPrintable(_ text: some StringProtocol, maximumBytes: Int) -> Bool {
        !text.isEmpty && text.utf8.count <= maximumBytes && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }
}
