/// Limits of a directory store.
package struct BlobStoreSettings: Hashable, Sendable {
    package var maximumBlobBytes: UInt64 = 256 << 30
    /// The most that one read returns; larger ranges are read in steps.
    package var maximumReadBytes = 64 << 20
    /// Space that stays free in the file system: a write that would take it is refused.
    package var minimumFreeBytes: UInt64 = 64 << 20
    /// Bytes gathered before they are written, for each blob that is being put.
    package var writeBytes = 1 << 20
    /// An upload flushes itself after so many bytes, so that a crash costs at most these.
    package var uploadCheckpointBytes: UInt64 = 64 << 20
    package var maximumUploads = 1024
    /// Threads for file calls, which block.
    package var fileThreads = 4

    package init() {}
}

/// How full the file system under a store is.
package struct BlobCapacity: Hashable, Sendable {
    package var freeBytes: UInt64
    package var totalBytes: UInt64
}
