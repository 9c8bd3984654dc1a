internal import Crypto
package import Domain

/// SHA-256 in steps.
package struct ContentHasher: Sendable {
    private var hasher = SHA256()

    package init() {}

    package mutating func update(_ bytes: [UInt8]) {
        hasher.update(data: bytes)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe hasher.update(bufferPointer: bytes)
    }

    package func finalize() -> Domain.Digest { domainDigest(hasher.finalize()) }

    package static func digest(_ bytes: some Sequence<UInt8>) -> Domain.Digest {
        domainDigest(SHA256.hash(data: Array(bytes)))
    }
}

private func domainDigest(_ digest: SHA256Digest) -> Domain.Digest {
    unsafe digest.withUnsafeBytes { bytes in unsafe loadDigest(bytes, at: 0) }
}

/// The digest whose 32 bytes start at `offset`.
func loadDigest(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Domain.Digest {
    func word(_ index: Int) -> UInt64 {
        unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * index, as: UInt64.self))
    }
    return Domain.Digest(words: word(0), word(1), word(2), word(3))
}

/// Writes the SHA-256 of `source` to the first 32 bytes of `destination`; the two may overlap.
func hash(_ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer) {
    var hasher = SHA256()
    unsafe hasher.update(bufferPointer: source)
    unsafe hasher.finalize().withUnsafeBytes { unsafe destination.copyMemory(from: $0) }
}
