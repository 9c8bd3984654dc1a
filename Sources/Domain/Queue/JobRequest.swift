/// A full commit id: 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits.
package struct CommitID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String

    /// Nil for anything but a full id in lowercase.
    package init?(rawValue: String) {
        let digits = rawValue.utf8Span.span
        guard digits.count == 40 || digits.count == 64 else { return nil }
        for index in digits.indices {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digits[index])
            guard isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(digits[index]) else { return nil }
        }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }
}

/// One request to build one commit of one app.
package struct JobRequest: Hashable, Sendable, Codable {
    package var app: AppName
    /// As the caller wrote it; `canonicalRepository` is what build-once compares. At most `maximumRepositoryBytes`.
    package var repository: String
    package var commit: CommitID
    /// Where the recipe stands in the commit. At most `maximumRecipePathBytes`.
    package var recipePath: String
    /// Higher is sooner; 0 is usual.
    package var priority: Int32
    /// Builds again even where the build-once key names a job already.
    package var isForced: Bool

    package static let maximumRepositoryBytes = 512
    package static let maximumRecipePathBytes = 256
    package static let priorities: ClosedRange<Int32> = -1000...1000

    package init(
        app: AppName, repository: String, commit: CommitID, recipePath: String = "drover.yml", priority: Int32 = 0,
        isForced: Bool = false
    ) {
        (self.app, self.repository, self.commit) = (app, repository, commit)
        (self.recipePath, self.priority, self.isForced) = (recipePath, priority, isForced)
    }

    /// What a build of this request would have in common with another: (app, repository, commit, recipe path).
    package var buildOnceKey: String {
        let repository = canonicalRepository(repository)
        var key = ""
        key.reserveCapacity(
            app.rawValue.utf8.count + repository.utf8.count + commit.rawValue.utf8.count + recipePath.utf8.count + 3)
        key += app.rawValue
        key += "\n"
        key += repository
        key += "\n"
        key += commit.rawValue
        key += "\n"
        key += recipePath
        return key
    }

    /// Nil when every field is in its bounds.
    package var problem: Refusal? {
        if repository.isEmpty || repository.hasPrefix("-") || repository.utf8.contains(where: { $0 < 0x20 }) {
            return Refusal(.invalid, "repository must be a path or a URL of a git repository")
        }
        if repository.utf8.count > Self.maximumRepositoryBytes {
            return Refusal(.tooLarge, "repository is longer than \(Self.maximumRepositoryBytes) bytes")
        }
        if recipePath.utf8.count > Self.maximumRecipePathBytes {
            return Refusal(.tooLarge, "recipe path is longer than \(Self.maximumRecipePathBytes) bytes")
        }
        if !isRelativePathInside(recipePath) {
            return Refusal(.invalid, "recipe must be a relative path inside the repository, such as drover.yml")
        }
        if !Self.priorities.contains(priority) {
            return Refusal(.invalid, "priority must be between -1000 and 1000")
        }
        return nil
    }
}

/// Whether a path is relative, without empty, `.` or `..` parts and without control characters.
package func isRelativePathInside(_ path: String) -> Bool {
    guard !path.isEmpty, path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { return false }
    return path.split(separator: "/", omittingEmptySubsequences: false)
        .allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
}

/// One spelling for the ways people write one repository: no trailing slashes, no `.git`, scheme and host in lowercase.
/// On bytes, not characters: every enqueue comes here, when it is decided and when it is reduced.
package func canonicalRepository(_ text: String) -> String {
    let slash = UInt8(ascii: "/")
    var rest = Substring(text).utf8
    while rest.count > 1, rest.last == slash { rest.removeLast() }
    if rest.count > 4, rest.suffix(4).elementsEqual(".git".utf8) { rest.removeLast(4) }
    while rest.count > 1, rest.last == slash { rest.removeLast() }
    guard let schemeEnd = rest.firstIndex(of: slash), rest[..<schemeEnd].last == UInt8(ascii: ":") else {
        return String(Substring(rest))
    }
    let afterScheme = rest[schemeEnd...].dropFirst()
    guard afterScheme.first == slash else { return String(Substring(rest)) }
    let hostEnd = afterScheme.dropFirst().firstIndex(of: slash) ?? rest.endIndex
    if rest[..<hostEnd].allSatisfy({ $0 < 0x80 && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) {
        return String(Substring(rest))
    }
    return Substring(rest[..<hostEnd]).lowercased() + Substring(rest[hostEnd...])
}
