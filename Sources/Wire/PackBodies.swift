package import Domain

/// `GET /v1/packs` of a piece server: what it serves.
package struct PackListAnswer: Hashable, Sendable, Codable {
    package struct Pack: Hashable, Sendable, Codable {
        package var app: AppName
        package var build: BuildID
        /// The Merkle root over the packed bytes.
        package var root: Digest
        package var packedBytes: UInt64

        package enum CodingKeys: String, CodingKey {
            case app, build, root
            case packedBytes = "packed_bytes"
        }

        package init(app: AppName, build: BuildID, root: Digest, packedBytes: UInt64) {
            (self.app, self.build, self.root, self.packedBytes) = (app, build, root, packedBytes)
        }
    }

    /// By name.
    package var packs: [Pack]
    /// The release key that manifests are signed with, in hexadecimal, where the server knows it.
    package var releaseKey: String?

    package enum CodingKeys: String, CodingKey {
        case packs
        case releaseKey = "release_key"
    }

    package init(packs: [Pack], releaseKey: String?) { (self.packs, self.releaseKey) = (packs, releaseKey) }
}

/// `GET /v1/packs/{app}/{build}/announce` of a piece server that is a tracker too: whom to ask beside it.
package struct NeighboursAnswer: Hashable, Sendable, Codable {
    package var neighbours: [AnnounceAnswer.Neighbour]
    /// Requests that this peer may have under way at the mirror.
    package var mirrorRequests: Int
    package var announceMilliseconds: Int64

    package enum CodingKeys: String, CodingKey {
        case neighbours
        case mirrorRequests = "mirror_requests"
        case announceMilliseconds = "announce_milliseconds"
    }

    package init(neighbours: [AnnounceAnswer.Neighbour], mirrorRequests: Int, announceMilliseconds: Int64) {
        (self.neighbours, self.mirrorRequests) = (neighbours, mirrorRequests)
        self.announceMilliseconds = announceMilliseconds
    }
}
