package import Domain

/// The blobs whose digests an event gives: what a copy of its log carries beside it. None for an event that this version
/// cannot read.
package func namedBlobs(
    type: UInt16, schemaRevision: UInt16, payload: borrowing Span<UInt8>
) -> [Digest] {
    guard let known = try? EventType(known: type, revision: schemaRevision), known.namesBlobs else { return [] }
    let bytes = [UInt8](copying: payload)
    switch known.family {
    case .queue: return (try? QueueEvent(known, bytes))?.namedBlobs ?? []
    case .region: return (try? RegionEvent(known, bytes))?.namedBlobs ?? []
    case .log, .replication, .targets, .fleet, .retention: return []
    }
}

extension EventType {
    /// The first event that gives a digest is enough: a pack is uploaded before anything else is said of it.
    fileprivate var namesBlobs: Bool { self == .packUploaded || self == .localPackStored }
}

extension QueueEvent {
    fileprivate var namedBlobs: [Digest] {
        if case .uploaded(_, _, let pack) = self { [pack.manifest] } else { [] }
    }
}

extension RegionEvent {
    /// A region keeps the manifests of the packs that it has.
    fileprivate var namedBlobs: [Digest] {
        if case .packStored(_, _, let manifest) = self { [manifest] } else { [] }
    }
}
