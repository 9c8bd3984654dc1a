package import Domain
import Foundation

/// `POST /v1/regions/{name}/join`.
package struct RegionJoinBody: WireRequest, Hashable {
    package var endpoint: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case endpoint }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(endpoint: String) { self.endpoint = endpoint }
}

/// `POST /v1/regions/{name}/report`: the latest numbers, one an app.
package struct RegionReportBody: WireRequest, Hashable {
    package var levels: [RegionLevel]

    package enum CodingKeys: String, CodingKey, CaseIterable { case levels }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(levels: [RegionLevel]) { self.levels = levels }
}

/// `POST /v1/regions/{name}/packs/{build}/stored`.
package struct PackStoredBody: WireRequest, Hashable {
    package var attempt: AttemptNumber
    package var manifest: Digest

    package enum CodingKeys: String, CodingKey, CaseIterable { case attempt, manifest }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(attempt: AttemptNumber, manifest: Digest) { (self.attempt, self.manifest) = (attempt, manifest) }
}

/// `POST /v1/regions/{name}/store`: what its packs take, and what is left for more.
package struct RegionStoreBody: WireRequest, Hashable {
    package var usedBytes: UInt64
    package var freeBytes: UInt64
    /// What packs may take at most; nil where a region does not say.
    package var sizeBytes: UInt64?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case usedBytes = "used_bytes"
        case freeBytes = "free_bytes"
        case sizeBytes = "size_bytes"
    }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(_ store: StoreLevel) {
        (usedBytes, freeBytes, sizeBytes) = (store.usedBytes, store.freeBytes, store.sizeBytes)
    }

    package var store: StoreLevel {
        StoreLevel(usedBytes: usedBytes, freeBytes: freeBytes, sizeBytes: sizeBytes ?? 0)
    }
}

/// How full a region's store is.
package struct StoreBody: Hashable, Sendable, Codable {
    package var usedBytes: UInt64
    package var freeBytes: UInt64
    /// What packs may take at most; nil where the region did not say.
    package var sizeBytes: UInt64?
    /// Above 100 where packs take more than they may.
    package var percent: UInt32

    package enum CodingKeys: String, CodingKey {
        case usedBytes = "used_bytes"
        case freeBytes = "free_bytes"
        case sizeBytes = "size_bytes"
        case percent
    }

    package init(_ store: StoreLevel) {
        (usedBytes, freeBytes, percent) = (store.usedBytes, store.freeBytes, store.percent)
        sizeBytes = store.sizeBytes == 0 ? nil : store.sizeBytes
    }
}

package struct RegionBody: Hashable, Sendable, Codable {
    package var name: RegionName
    package var status: RegionStatus
    package var endpoint: String
    /// By app.
    package var levels: [RegionLevel]
    /// Nil until it has said so.
    package var store: StoreBody?

    package init(name: RegionName, _ record: RegionRecord) {
        (self.name, status, endpoint) = (name, record.status, record.endpoint)
        levels = record.levels.values.sorted { $0.app < $1.app }
        store = record.store.map { StoreBody($0) }
    }
}

/// By name.
package struct RegionList: Hashable, Sendable, Codable {
    package var regions: [RegionBody]
    package var sequence: LogSequence

    package init(regions: [RegionBody], sequence: LogSequence) { (self.regions, self.sequence) = (regions, sequence) }
}

/// `GET /v1/feed`: the global facts that concern one region, up to a position that can be proved.
package struct FeedAnswer: Hashable, Sendable, Codable {
    /// Ascending; may be empty while the position still moves on.
    package var facts: [TakenFact]
    package var position: LogPosition
    /// The durable head when this was answered: how far behind the position is.
    package var sequence: LogSequence

    package init(facts: [TakenFact], position: LogPosition, sequence: LogSequence) {
        (self.facts, self.position, self.sequence) = (facts, position, sequence)
    }
}

/// `GET /v1/feed/snapshot`: what the whole feed of one region comes to, signed by the release key.
package struct FeedSnapshotAnswer: Hashable, Sendable, Codable {
    /// A snapshot as JSON: the signature is over these very bytes, behind `purpose`.
    package var body: String
    /// Hexadecimal.
    package var signature: String
    package var sequence: LogSequence

    /// Nothing else that the key signs begins like this.
    private static let purpose = "drover feed snapshot 1\n"

    package init(
        _ snapshot: RegionSnapshot, sequence: LogSequence, signing: ([UInt8]) throws -> [UInt8]
    ) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        body = String(decoding: try encoder.encode(snapshot), as: UTF8.self)
        signature = hexadecimal(try signing(Array((Self.purpose + body).utf8)))
        self.sequence = sequence
    }

    /// Fails unless the signature is the key's.
    package func snapshot(
        isValid: (_ signature: [UInt8], _ bytes: [UInt8]) -> Bool
    ) throws(Problem) -> RegionSnapshot {
        guard let signature = bytesFromHex(signature), isValid(signature, Array((Self.purpose + body).utf8)) else {
            throw Problem(.invalid, "the snapshot is not signed by the release key that this region knows")
        }
        do { return try JSONDecoder().decode(RegionSnapshot.self, from: Data(body.utf8)) } catch {
            throw Problem(.invalid, "the snapshot cannot be read, though it is signed: upgrade this region (\(error))")
        }
    }
}
