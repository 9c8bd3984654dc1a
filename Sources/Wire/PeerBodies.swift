package import Domain

/// `GET /v1/region`: who answers here.
package struct RegionSelfAnswer: Hashable, Sendable, Codable {
    package var name: RegionName
    /// Where packs are fetched from, as in `http://10.0.0.1:7072`.
    package var mirrorEndpoint: String
    /// The release key that manifests are signed with, in hexadecimal.
    package var releaseKey: String
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case name
        case mirrorEndpoint = "mirror_endpoint"
        case releaseKey = "release_key"
        case sequence
    }

    package init(name: RegionName, mirrorEndpoint: String, releaseKey: String, sequence: LogSequence) {
        (self.name, self.mirrorEndpoint) = (name, mirrorEndpoint)
        (self.releaseKey, self.sequence) = (releaseKey, sequence)
    }
}

/// `GET /v1/peers/{name}/assignments?after_revision=&wait=`: what the peer should run, by app.
package struct AssignmentsAnswer: Hashable, Sendable, Codable {
    package var assignments: [Assignment]
    /// The greatest revision among them: what `after_revision` takes.
    package var revision: Revision
    /// Log time, so that a peer with a wrong clock can tell expired targets.
    package var now: WireTime
    package var sequence: LogSequence

    package init(assignments: [Assignment], revision: Revision, now: WireTime, sequence: LogSequence) {
        (self.assignments, self.revision, self.now, self.sequence) = (assignments, revision, now, sequence)
    }
}

/// `POST /v1/swarms/{app}/{build}/announce`: a peer fetches or has a pack.
package struct AnnounceBody: WireRequest, Hashable {
    package var peer: PeerName
    package var endpoint: String

    package enum CodingKeys: String, CodingKey, CaseIterable { case peer, endpoint }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(peer: PeerName, endpoint: String) { (self.peer, self.endpoint) = (peer, endpoint) }
}

package struct AnnounceAnswer: Hashable, Sendable, Codable {
    package struct Neighbour: Hashable, Sendable, Codable {
        package var name: PeerName
        package var endpoint: String

        package init(name: PeerName, endpoint: String) { (self.name, self.endpoint) = (name, endpoint) }
    }

    package var neighbours: [Neighbour]
    package var mirrorEndpoint: String
    /// Requests that this peer may have under way at the mirror.
    package var mirrorRequests: Int
    package var announceMilliseconds: Int64
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case neighbours
        case mirrorEndpoint = "mirror_endpoint"
        case mirrorRequests = "mirror_requests"
        case announceMilliseconds = "announce_milliseconds"
        case sequence
    }

    package init(
        neighbours: [Neighbour], mirrorEndpoint: String, mirrorRequests: Int, announceMilliseconds: Int64,
        sequence: LogSequence
    ) {
        (self.neighbours, self.mirrorEndpoint) = (neighbours, mirrorEndpoint)
        (self.mirrorRequests, self.announceMilliseconds) = (mirrorRequests, announceMilliseconds)
        self.sequence = sequence
    }
}

/// One peer of a region, for people.
package struct PeerBody: Hashable, Sendable, Codable {
    package var name: PeerName
    package var region: RegionName
    package var labels: [String: String]
    package var endpoint: String
    /// `live` or `silent`.
    package var status: String
    package var apps: [AppName: PeerApp]

    package init(name: PeerName, region: RegionName, _ record: PeerRecord) {
        (self.name, self.region, labels, endpoint) = (name, region, record.labels, record.endpoint)
        (status, apps) = (record.isSilent ? "silent" : "live", record.apps)
    }
}

/// By name.
package struct PeerList: Hashable, Sendable, Codable {
    package var peers: [PeerBody]
    package var sequence: LogSequence

    package init(peers: [PeerBody], sequence: LogSequence) { (self.peers, self.sequence) = (peers, sequence) }
}

/// `GET /v1/peers/{name}/events`: what concerns one peer in its region's log.
package struct PeerEventsAnswer: Hashable, Sendable, Codable {
    /// The newest, in order, each as a line of an export.
    package var events: [String]
    /// Whether older ones are left out.
    package var isTruncated: Bool
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case events, sequence
        case isTruncated = "truncated"
    }

    package init(events: [String], isTruncated: Bool, sequence: LogSequence) {
        (self.events, self.isTruncated, self.sequence) = (events, isTruncated, sequence)
    }
}

/// `GET /v1/uploads/{job}/{attempt}`: how much of a pack has arrived durably.
package struct UploadAnswer: Hashable, Sendable, Codable {
    package var offset: UInt64

    package init(offset: UInt64) { self.offset = offset }
}
