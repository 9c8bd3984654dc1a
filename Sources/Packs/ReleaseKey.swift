internal import Crypto
internal import Domain
internal import Foundation
internal import Glibc
internal import Ports

/// The control plane's release key (Ed25519), kept in a file that only its owner may read.
package struct ReleaseKey: Signer {
    private let key: Curve25519.Signing.PrivateKey

    package var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    package func signature(over bytes: [UInt8]) throws -> [UInt8] { Array(try key.signature(for: Data(bytes))) }

    private static let header = "drover-release-key-1 "
    private static let fileBytes = header.utf8.count + 64 + 1

    /// Loads the key, or makes one at first start. When two processes make one at once, both get the same.
    package static func loadOrCreate(path: String) throws(PackFailure) -> ReleaseKey {
        if let key = try loadIfThere(path: path) { return key }
        try create(path: path)
        return try load(path: path)
    }

    package static func load(path: String) throws(PackFailure) -> ReleaseKey {
        guard let key = try loadIfThere(path: path) else {
            throw PackFailure(.badKey, "there is no release key at \(path); start the global role once to make one")
        }
        return key
    }

    private static func loadIfThere(path: String) throws(PackFailure) -> ReleaseKey? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            guard errno == ENOENT else { throw OpenFile.failure("read the release key", path) }
            return nil
        }
        let file = try OpenFile.open(path, flags: O_RDONLY | O_NONBLOCK)
        try checkAccess(try file.status(), path)
        let scratch = Scratch(count: fileBytes + 1)
        let count = try unsafe file.read(into: scratch.bytes, at: 0)
        let text = unsafe String(decoding: scratch.prefix(count), as: UTF8.self)
        guard count == fileBytes, text.hasPrefix(header), text.hasSuffix("\n"),
            let seed = bytesFromHex(text.dropFirst(header.count).dropLast()),
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        else {
            throw PackFailure(
                .badKey, "the release key \(path) is damaged; restore it from its backup, peers trust no other")
        }
        return ReleaseKey(key: key)
    }

    private static func checkAccess(_ status: stat, _ path: String) throws(PackFailure) {
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw PackFailure(.badKey, "the release key \(path) is not a regular file; move it away")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw PackFailure(
                .badKey, "others may read the release key \(path); chmod 600 it, or replace it if they did")
        }
    }

    /// Writes a new key beside the path and links it there, so that the path never names half a key.
    private static func create(path: String) throws(PackFailure) {
        let seed = Curve25519.Signing.PrivateKey().rawRepresentation
        let text = Array((header + hexadecimal(seed) + "\n").utf8)
        let temporary = "\(path).new-\(getpid())"
        OpenFile.remove(temporary)
        let file = try OpenFile.open(temporary, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        defer { OpenFile.remove(temporary) }
        try file.write(text, at: 0)
        try file.synchronize()
        guard unsafe link(temporary, path) == 0 || errno == EEXIST else {
            throw OpenFile.failure("create the release key", path)
        }
        try OpenFile.synchronizeDirectory(of: path)
    }
}
