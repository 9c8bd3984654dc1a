/// One request to build one commit of one app.
///
/// What it says is kept once, however many hold it: a job, its build, its build-once key and remembered answers.
package struct JobRequest: Sendable {
    final class Content: Sendable {
        let app: AppName
        let repository: String
        /// A part of `repository`, nearly always.
        let canonicalRepository: Substring
        let commit: CommitID
        let recipePath: String
        let priority: Int32
        let isForced: Bool
        /// Of what makes another request its repeat.
        let tableHash: UInt64

        init(
            app: AppName, repository: String, canonicalRepository: Substring, commit: CommitID, recipePath: String,
            priority: Int32, isForced: Bool
        ) {
            (self.app, self.repository, self.canonicalRepository) = (app, repository, canonicalRepository)
            (self.commit, self.recipePath) = (commit, recipePath)
            (self.priority, self.isForced) = (priority, isForced)
            var hash = TableHash()
            hash.feed(app.rawValue)
            hash.feed(canonicalRepository)
            commit.feed(&hash)
            hash.feed(recipePath)
            tableHash = hash.value
        }
    }

    fileprivate let content: Content

    package static let usualRecipePath = "drover.yml"
    package static let maximumRepositoryBytes = 512
    package static let maximumRecipePathBytes = 256
    package static let priorities: ClosedRange<Int32> = -1000...1000

    package init(
        app: AppName, repository: String, commit: CommitID, recipePath: String = Self.usualRecipePath,
        priority: Int32 = 0,
        isForced: Bool = false
    ) {
        content = Content(
            app: app, repository: repository, canonicalRepository: canonicalRepository(repository), commit: commit,
            recipePath: recipePath, priority: priority, isForced: isForced)
    }

    package var app: AppName { content.app }
    /// As the caller wrote it; what build-once compares is its canonical spelling. At most `maximumRepositoryBytes`.
    package var repository: String { content.repository }
    package var commit: CommitID { content.commit }
    /// Where the recipe stands in the commit. At most `maximumRecipePathBytes`.
    package var recipePath: String { content.recipePath }
    /// Higher is sooner; 0 is usual.
    package var priority: Int32 { content.priority }
    /// Builds again even where the build-once key names a job already.
    package var isForced: Bool { content.isForced }

    /// What a build of this request would have in common with another.
    package var buildOnceKey: BuildOnceKey { BuildOnceKey(content) }

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

extension JobRequest: Hashable {
    package static func == (left: JobRequest, right: JobRequest) -> Bool {
        left.content === right.content
            || left.app == right.app && left.repository == right.repository && left.commit == right.commit
                && left.recipePath == right.recipePath && left.priority == right.priority
                && left.isForced == right.isForced
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(app)
        hasher.combine(repository)
        hasher.combine(commit)
        hasher.combine(recipePath)
        hasher.combine(priority)
        hasher.combine(isForced)
    }
}

extension JobRequest: Codable {
    private enum CodingKeys: CodingKey {
        case app, repository, commit, recipePath, priority, isForced
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            app: try container.decode(AppName.self, forKey: .app),
            repository: try container.decode(String.self, forKey: .repository),
            commit: try container.decode(CommitID.self, forKey: .commit),
            recipePath: try container.decode(String.self, forKey: .recipePath),
            priority: try container.decode(Int32.self, forKey: .priority),
            isForced: try container.decode(Bool.self, forKey: .isForced))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(app, forKey: .app)
        try container.encode(repository, forKey: .repository)
        try container.encode(commit, forKey: .commit)
        try container.encode(recipePath, forKey: .recipePath)
        try container.encode(priority, forKey: .priority)
        try container.encode(isForced, forKey: .isForced)
    }
}

/// What makes a job the repeat of another one: (app, canonical repository, commit, recipe path). As text, a line each.
package struct BuildOnceKey: Sendable {
    private let tableHash: UInt64
    private let content: JobRequest.Content

    fileprivate init(_ content: JobRequest.Content) {
        self.content = content
        tableHash = content.tableHash
    }

    package var app: AppName { content.app }
    package var commit: CommitID { content.commit }

    /// Nil unless the text is a key's.
    init?(text: String) {
        let bytes = text.utf8
        guard let appEnd = bytes.firstIndex(of: UInt8(ascii: "\n")),
            let app = AppName(rawValue: String(text[..<appEnd]))
        else { return nil }
        var lineStart = bytes.index(after: appEnd)
        let repositoryStart = lineStart
        while let lineEnd = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n")) {
            // The first line behind the repository that is a commit's.
            if lineStart > repositoryStart, let commit = CommitID(rawValue: String(text[lineStart..<lineEnd])) {
                let repository = String(text[repositoryStart..<bytes.index(before: lineStart)])
                self.init(
                    JobRequest.Content(
                        app: app, repository: repository, canonicalRepository: repository[...], commit: commit,
                        recipePath: String(text[bytes.index(after: lineEnd)...]), priority: 0, isForced: false))
                return
            }
            lineStart = bytes.index(after: lineEnd)
        }
        return nil
    }

    package var text: String {
        "\(content.app)\n\(content.canonicalRepository)\n\(content.commit)\n\(content.recipePath)"
    }

    func feed(_ fingerprint: inout Fingerprint) {
        fingerprint.feed(content.app.rawValue)
        fingerprint.feed(content.canonicalRepository)
        content.commit.feed(&fingerprint)
        fingerprint.feed(content.recipePath)
    }
}

extension BuildOnceKey: Hashable {
    package static func == (left: BuildOnceKey, right: BuildOnceKey) -> Bool {
        guard left.tableHash == right.tableHash else { return false }
        let (left, right) = (left.content, right.content)
        return left === right
            || left.commit == right.commit && left.app == right.app && left.recipePath == right.recipePath
                && left.canonicalRepository == right.canonicalRepository
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(tableHash) }

    /// Dictionaries ask for this one: the key is hashed already.
    package func _rawHashValue(seed: Int) -> Int {
        var hash = TableHash(seed: seed)
        hash.feed(tableHash)
        return Int(truncatingIfNeeded: hash.value)
    }
}

extension BuildOnceKey: CodingKeyRepresentable {
    package var codingKey: any CodingKey { TextCodingKey(text: text) }

    package init?(codingKey: some CodingKey) { self.init(text: codingKey.stringValue) }
}

extension BuildOnceKey: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let key = BuildOnceKey(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no build-once key")
        }
        self = key
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Whether a path is relative, without empty, `.` or `..` parts and without control characters.
package func isRelativePathInside(_ path: String) -> Bool {
    let bytes = path.utf8Span.span
    let (slash, dot) = (UInt8(ascii: "/"), UInt8(ascii: "."))
    // Of the part that is being read: how long it is, and whether it is dots alone.
    var (length, isDots) = (0, true)
    for index in bytes.indices {
        let byte = bytes[index]
        guard byte >= 0x20, byte != 0x7f else { return false }
        if byte == slash {
            if isDots, length <= 2 { return false }
            (length, isDots) = (0, true)
        } else {
            length += 1
            isDots = isDots && byte == dot
        }
    }
    return !isDots || length > 2
}

/// One spelling for the ways people write one repository: no trailing slashes, no `.git`, scheme and host in lowercase.
/// On bytes, not characters, and a part of the text where it can: every enqueue comes here, when it is decided and when it
/// is reduced.
package func canonicalRepository(_ text: String) -> Substring {
    let bytes = text.utf8Span.span
    let end = canonicalEnd(bytes)
    let host = upperHostEnd(bytes.extracting(0..<end))
    let whole = Substring(text.utf8.prefix(end))
    guard let host else { return whole }
    return Substring(Substring(whole.utf8.prefix(host)).lowercased() + Substring(whole.utf8.dropFirst(host)))
}

/// Where trailing slashes and one `.git` among them begin.
private func canonicalEnd(_ bytes: borrowing Span<UInt8>) -> Int {
    let slash = UInt8(ascii: "/")
    var end = bytes.count
    while end > 1, bytes[end - 1] == slash { end -= 1 }
    if end > 4, bytes.littleEndianHalfWord(at: end - 4) == 0x7469_672e { end -= 4 }  // ".git"
    while end > 1, bytes[end - 1] == slash { end -= 1 }
    return end
}

/// Where scheme and host end; nil where they are lowercase, or there are none.
private func upperHostEnd(_ bytes: borrowing Span<UInt8>) -> Int? {
    let (slash, count) = (UInt8(ascii: "/"), bytes.count)
    guard let schemeEnd = bytes.indices.first(where: { bytes[$0] == slash }), schemeEnd > 0,
        bytes[schemeEnd - 1] == UInt8(ascii: ":"), schemeEnd + 1 < count, bytes[schemeEnd + 1] == slash
    else { return nil }
    let hostEnd = (schemeEnd + 2..<count).first { bytes[$0] == slash } ?? count
    let isPlain = (0..<hostEnd).allSatisfy {
        bytes[$0] < 0x80 && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(bytes[$0])
    }
    return isPlain ? nil : hostEnd
}
