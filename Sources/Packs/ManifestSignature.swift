internal import Crypto
internal import Domain
internal import Foundation
package import Ports

/// An Ed25519 signature (RFC 8032) over all bytes before its line.
package struct ManifestSignature: Hashable, Sendable {
    /// The first 16 hexadecimal digits of SHA-256 of the public key.
    package let keyID: String
    /// 64 bytes.
    package let bytes: [UInt8]

    package static func keyID(publicKey: [UInt8]) -> String { String(ContentHasher.digest(publicKey).hex.prefix(16)) }

    var line: [UInt8] { CanonicalLine.encode(SignatureLine(ed25519: hexadecimal(bytes), key: keyID)) }

    /// What every signature line starts with, and no other line: keys are sorted.
    private static let marker = Array(#"{"ed25519":"#.utf8)

    /// Parts the signed bytes from the signature's line, which is the last one; nil when there is none.
    static func split(
        _ bytes: [UInt8], limits: PackLimits
    ) throws(PackFailure) -> (unsigned: ArraySlice<UInt8>, signature: ManifestSignature?) {
        guard bytes.count <= limits.maximumManifestBytes else {
            throw PackFailure(
                .tooLarge, "a manifest of \(bytes.count) bytes is above the limit of \(limits.maximumManifestBytes)")
        }
        guard bytes.last == CanonicalLine.newline else { throw invalidManifest("it is cut off inside a line") }
        let start = bytes.dropLast().lastIndex(of: CanonicalLine.newline).map { $0 + 1 } ?? 0
        guard bytes[start...].starts(with: marker) else { return (bytes[...], nil) }
        let line = try CanonicalLine.decode(SignatureLine.self, bytes[start...], number: 0)
        guard line.kind == "signature", let signature = bytesFromHex(line.ed25519),
            hexadecimal(signature) == line.ed25519,
            signature.count == 64, line.key.utf8.count == 16
        else { throw invalidManifest("its signature line is malformed") }
        return (bytes[..<start], ManifestSignature(keyID: line.key, bytes: signature))
    }

    /// Throws unless one of these keys made it over exactly these bytes.
    func verify(over bytes: ArraySlice<UInt8>, trustedKeys: [[UInt8]]) throws(PackFailure) {
        let candidates = trustedKeys.filter { Self.keyID(publicKey: $0) == keyID }
        guard !candidates.isEmpty else {
            throw PackFailure(
                .untrusted, "the manifest is signed by key \(keyID), which is not among this machine's release keys")
        }
        let isValid = candidates.contains { key in
            (try? Curve25519.Signing.PublicKey(rawRepresentation: key))?
                .isValidSignature(self.bytes, for: Data(bytes)) ?? false
        }
        guard isValid else {
            throw PackFailure(.badSignature, "the manifest was changed after it was signed; fetch it again")
        }
    }
}

extension Manifest {
    /// Reads a manifest that one of the keys (32 bytes each) signed. Its signature is checked before anything else.
    package static func verify(
        _ bytes: [UInt8], trustedKeys: [[UInt8]], limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> Manifest {
        try verifySignature(bytes, trustedKeys: trustedKeys, limits: limits)
        return try decode(bytes, limits: limits)
    }

    /// Adds the signature's line to a whole unsigned manifest, after reading it.
    package static func sign(
        _ unsigned: [UInt8], signer: any Signer, limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> [UInt8] {
        guard try decode(unsigned, limits: limits).signature == nil else {
            throw invalidManifest("it is signed already")
        }
        return try addSignature(unsigned, signer)
    }

    static func verifySignature(
        _ bytes: [UInt8], trustedKeys: [[UInt8]], limits: PackLimits
    ) throws(PackFailure) {
        let (unsigned, signature) = try ManifestSignature.split(bytes, limits: limits)
        guard let signature else { throw PackFailure(.unsigned, "the manifest is not signed; it must not be used yet") }
        try signature.verify(over: unsigned, trustedKeys: trustedKeys)
    }

    static func addSignature(_ unsigned: [UInt8], _ signer: any Signer) throws(PackFailure) -> [UInt8] {
        let signature: [UInt8]
        do { signature = try signer.signature(over: unsigned) } catch {
            throw PackFailure(.badKey, "signing failed: \(error)")
        }
        let keyID = ManifestSignature.keyID(publicKey: signer.publicKey)
        return unsigned + ManifestSignature(keyID: keyID, bytes: signature).line
    }
}

extension PackDraft {
    /// Reads a draft that one of the keys signed. A pack may be fetched under a draft, never run.
    package static func verify(
        _ bytes: [UInt8], trustedKeys: [[UInt8]], limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> PackDraft {
        try Manifest.verifySignature(bytes, trustedKeys: trustedKeys, limits: limits)
        return try decode(bytes, limits: limits)
    }

    /// Adds the signature's line to a draft's unsigned bytes, after reading them.
    package static func sign(
        _ unsigned: [UInt8], signer: any Signer, limits: PackLimits = PackLimits()
    ) throws(PackFailure) -> [UInt8] {
        guard try ManifestSignature.split(unsigned, limits: limits).signature == nil else {
            throw invalidManifest("it is signed already")
        }
        _ = try decode(unsigned, limits: limits)
        return try Manifest.addSignature(unsigned, signer)
    }
}

/// Signatures of the release key over other bytes than a manifest's.
package enum PackSignature {
    package static func isValid(_ signature: [UInt8], over bytes: [UInt8], publicKey: [UInt8]) -> Bool {
        (try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey))?
            .isValidSignature(signature, for: Data(bytes)) ?? false
    }
}
