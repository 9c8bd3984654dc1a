import Crypto
package import Domain

/// The chain over batches: each batch's hash covers the hash before it, the batch's first sequence and count, and each
/// frame's header, actor, key and the SHA-256 of its payload. So a payload can be replaced by its hash later, and what
/// came after what stays provable.
package struct BatchChain {
    private static let domain = Array("drover batch v1\n".utf8)

    /// What waits for the hash is gathered up to this size: one long update is cheaper than three short ones a frame.
    private static let gatheredBytes = 16 << 10

    private var hasher = SHA256()
    private var gathered: [UInt8]

    package init(after previous: Domain.Digest, first: LogSequence, count: Int) {
        var opening = Self.domain
        opening.append(contentsOf: previous.bytes)
        opening.append(littleEndian: first.rawValue)
        opening.append(littleEndian: UInt32(truncatingIfNeeded: count))
        gathered = opening
        gathered.reserveCapacity(Self.gatheredBytes + maximumFrameBytes)
    }

    /// Takes the next frame, given as its bytes within a buffer.
    package mutating func add(_ frame: ArraySlice<UInt8>, _ layout: FrameLayout) {
        let head = frame[..<(frame.startIndex + layout.keyRange.upperBound)]
        func part(_ range: Range<Int>) -> ArraySlice<UInt8> {
            frame[(frame.startIndex + range.lowerBound)..<(frame.startIndex + range.upperBound)]
        }
        guard layout.isRedacted else { return add(head: head, payload: part(layout.payloadRange)) }
        add(head: head, redacted: part(layout.payloadHashRange))
    }

    /// Takes the next frame, whose payload was redacted: its bytes up to the payload's hash, and that hash.
    package mutating func add(head: ArraySlice<UInt8>, redacted hash: ArraySlice<UInt8>) {
        let flags = gathered.count + 1
        gathered.append(contentsOf: head)
        gathered[flags] &= ~FrameLayout.Flag.ofRedaction
        gathered.append(contentsOf: hash)
        hashIfLong()
    }

    /// Takes the next frame that has its payload: its bytes up to the payload, and the payload.
    package mutating func add(head: ArraySlice<UInt8>, payload: ArraySlice<UInt8>) {
        gathered.append(contentsOf: head)
        for byte in SHA256.hash(data: payload) { gathered.append(byte) }
        hashIfLong()
    }

    package func end() -> Domain.Digest {
        var hasher = hasher
        hasher.update(data: gathered)
        guard let digest = Domain.Digest(bytes: Array(hasher.finalize())) else {
            preconditionFailure("SHA-256 has 32 bytes")
        }
        return digest
    }

    private mutating func hashIfLong() {
        guard gathered.count >= Self.gatheredBytes else { return }
        hasher.update(data: gathered)
        gathered.removeAll(keepingCapacity: true)
    }
}

extension FrameCodec {
    /// The chain's hash at the end of one batch of whole frames.
    package static func chain(
        after previous: Domain.Digest, _ frames: [Frame]
    ) throws(FrameFailure) -> Domain.Digest {
        guard let first = frames.first else { return previous }
        var chain = BatchChain(after: previous, first: first.header.sequence, count: frames.count)
        var bytes: [UInt8] = []
        for frame in frames {
            bytes.removeAll(keepingCapacity: true)
            let payload = try append(frame, to: &bytes)
            if frame.redaction != nil {
                let hash = payload.lowerBound - FrameLayout.redactedPayloadBytes
                chain.add(head: bytes[..<hash], redacted: bytes[hash..<payload.lowerBound])
            } else {
                chain.add(head: bytes[..<payload.lowerBound], payload: bytes[payload])
            }
        }
        return chain.end()
    }
}
