internal import Domain
internal import Ports

// A store's directories. Content: `content/ab/cd/ABCD...`, by the first bytes of the digest. Named: the name's parts
// are directories, and the last part is a file in a directory `.blobs` there, so that `a` and `a/b` can both be
// blobs: no part starts with a dot.

let blobsDirectory = ".blobs"
package let maximumNameParts = 8
package let maximumNamePartBytes = 255

extension BlobKey {
    /// The directories below the store's own, outermost first, and the file's name. Throws `bad-key` for a name that
    /// breaks the rules, so that no name leads out of the store.
    func place() throws(BlobFailure) -> (directories: [String], file: String) {
        switch self {
        case .content(let digest):
            let hex = digest.hex
            return (["content", String(hex.prefix(2)), String(hex.dropFirst(2).prefix(2))], hex)
        case .named(let name):
            let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= maximumNameParts, parts.allSatisfy(isNamePart), let last = parts.last else {
                throw BlobFailure(
                    .badKey, "a blob's name has one to eight parts of A-Z a-z 0-9 . _ -, none starting with a dot")
            }
            return (["named"] + parts.dropLast() + [blobsDirectory], last)
        }
    }

    /// As in messages.
    var text: String {
        switch self {
        case .content(let digest): "sha256:\(digest.hex)"
        case .named(let name): name
        }
    }
}

/// Whether a text may be one part of a name: 1 to 255 of `A-Z a-z 0-9 . _ -`, not starting with a dot.
func isNamePart(_ text: some StringProtocol) -> Bool {
    guard let first = text.utf8.first, first != UInt8(ascii: "."), text.utf8.count <= maximumNamePartBytes else {
        return false
    }
    return text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
