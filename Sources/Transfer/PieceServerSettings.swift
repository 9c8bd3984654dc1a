package import NIOSSL

/// The limits of one server.
package struct PieceServerSettings: Sendable {
    package var host: String
    /// 0: any free one.
    package var port: Int
    /// Packs sent at once: on a peer as many as a peer's requests, so that nobody waits; more on a mirror.
    package var uploadSlots: Int
    /// All uploads together; nil: as fast as they go.
    package var uploadBytesPerSecond: UInt64?
    /// Requests that wait for a slot; one more is answered 503.
    package var waitingUploads = 16
    package var uploadWaitMilliseconds: Int64 = 2_000
    package var maximumConnections = 1024
    /// Request line and headers together.
    package var maximumHeadBytes = 8 << 10
    package var maximumHeaders = 64
    /// From a request's first byte to its last.
    package var headMilliseconds: Int64 = 10_000
    /// A connection without a request for this long is closed.
    package var idleMilliseconds: Int64 = 60_000
    /// A client that does not take `chunkBytes` in this time is cut off.
    package var stallMilliseconds: Int64 = 30_000
    /// Bytes handed to the kernel at once, and counted when they are sent.
    package var chunkBytes = 1 << 20
    package var maximumWaitMilliseconds: Int64 = 30_000
    package var maximumWantedPieces = 64
    /// Nil: plain HTTP. With client certificates demanded in it: mutual TLS.
    package var tls: TLSConfiguration?

    package init(host: String = "127.0.0.1", port: Int = 0, uploadSlots: Int = 8) {
        (self.host, self.port, self.uploadSlots) = (host, port, uploadSlots)
    }
}
