/// Where a repository is, in one of the forms a worker fetches from. Anything that git would take for an option or for
/// a program to run (`ext::sh -c ...`) is none of them.
package struct RepositoryAddress: Hashable, Sendable {
    package let text: String
    /// The directory, where it is one on this machine.
    package let localPath: String?

    private static let schemes = ["https", "http", "ssh", "git"]

    /// Nil when it is none of the forms: an absolute path, `file:///...`, `https://`, `http://`, `ssh://` or `git://`
    /// with a host, or `user@host:path`.
    package init?(_ text: String) {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f || $0 == 0x20 }), !text.hasPrefix("-"),
            !Self.namesHelper(text)
        else { return nil }
        self.text = text
        if text.hasPrefix("/") {
            localPath = text
        } else if text.hasPrefix("file:///") {
            localPath = String(text.dropFirst("file://".count))
        } else if let host = Self.host(text), !host.isEmpty, !host.hasPrefix("-"), !host.contains(" ") {
            localPath = nil
        } else {
            return nil
        }
    }

    /// `NAME::...` makes git run the program `git-remote-NAME`.
    private static func namesHelper(_ text: String) -> Bool {
        let name = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "+" || $0 == ".") }
        return text.dropFirst(name.count).hasPrefix("::")
    }

    /// The host a text names, without user and port; nil when it has none of the forms.
    private static func host(_ text: String) -> Substring? {
        if let scheme = schemes.first(where: { text.lowercased().hasPrefix("\($0)://") }) {
            let authority = text.dropFirst(scheme.count + 3).prefix { $0 != "/" }
            return authority.drop(through: "@").prefix { $0 != ":" }
        }
        guard !text.contains("://"), let colon = text.firstIndex(of: ":") else { return nil }
        let authority = text[..<colon]
        guard !authority.contains("/"), text.index(after: colon) != text.endIndex else { return nil }
        return authority.drop(through: "@")
    }

    /// The address for people and logs: without a user's password or token.
    package var shown: String { Self.withoutSecrets(text) }

    /// Takes what stands between `://` and `@` out of a text, wherever an address stands in it.
    package static func withoutSecrets(_ text: String) -> String {
        var shown = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "://") {
            shown += rest[..<start.upperBound]
            rest = rest[start.upperBound...]
            let authority = rest.prefix { !"/ '\"\n\t".contains($0) }
            if let at = authority.lastIndex(of: "@") {
                shown += "…"
                rest = rest[at...]
            }
        }
        return shown + rest
    }
}

extension Substring {
    /// What comes after the last such character; all of it when there is none.
    fileprivate func drop(through character: Character) -> Substring {
        guard let index = lastIndex(of: character) else { return self }
        return self[self.index(after: index)...]
    }
}
