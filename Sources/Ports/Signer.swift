/// Signs manifests with the control plane's release key (Ed25519, RFC 8032).
package protocol Signer: Sendable {
    /// 32 bytes.
    var publicKey: [UInt8] { get }

    /// 64 bytes over exactly these bytes.
    func signature(over bytes: [UInt8]) throws -> [UInt8]
}
