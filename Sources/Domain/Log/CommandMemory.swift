/// The accepted commands of the last day, by (actor, key): a repeat gets its first answer.
///
/// Every keyed event comes here: a key is found by its hash, growing neither hashes nor moves what is remembered.
package struct CommandMemory<Answer: Hashable & Sendable & Codable>: Sendable {
    package struct Entry: Hashable, Sendable, Codable {
        package var time: Timestamp
        package var fingerprint: UInt64
        package var answer: Answer
    }

    package static var lifetimeSeconds: Int64 { 24 * 3600 }
    package static var maximumEntries: Int { 1_000_000 }

    /// Oldest first; every name once.
    private var records = RecordQueue<Entry>()
    /// Invariant: exactly the numbers of `records`, each under its name's hash.
    private var numbers = HashedNumbers()

    package init() {}

    package var count: Int { records.count }

    /// What was answered to this key within the last 24 hours of log time.
    package func entry(actor: EventActor, key: String, now: Timestamp) -> Entry? {
        let name = CommandName(actor: actor, key: key)
        guard let number = number(of: name, hash: name.hash) else { return nil }
        let entry = records[number]
        return now.millisecondsSince(entry.time) > Self.lifetimeSeconds * 1000 ? nil : entry
    }

    package mutating func remember(
        actor: EventActor, key: String, fingerprint: UInt64, answer: Answer, time: Timestamp,
        maximumEntries: Int = Self.maximumEntries
    ) {
        let name = CommandName(actor: actor, key: key)
        let hash = name.hash
        forgetOld(now: time, maximumEntries: maximumEntries)
        if number(of: name, hash: hash) != nil { forget(name) }
        append(name, hash, Entry(time: time, fingerprint: fingerprint, answer: answer))
    }

    private mutating func append(_ name: CommandName, _ hash: UInt32, _ entry: Entry) {
        numbers.insert(records.append(entry, name: name, hash: hash), hash: hash)
    }

    private func number(of name: CommandName, hash: UInt32) -> UInt32? {
        numbers.first(hash: hash) { records.isNamed($0, name) }
    }

    private mutating func forgetOld(now: Timestamp, maximumEntries: Int) {
        while records.isFirst({
            records.count >= maximumEntries || now.millisecondsSince($0.time) > Self.lifetimeSeconds * 1000
        }) {
            let (number, hash) = records.removeFirst()
            numbers.remove(number, hash: hash)
        }
    }

    /// Costs everything that is remembered; no decision lets a key that is remembered be used again.
    private mutating func forget(_ name: CommandName) {
        let others = records.filter { $0.name != name }
        (records, numbers) = (RecordQueue(), HashedNumbers())
        for (name, entry) in others { append(name, name.hash, entry) }
    }
}

extension CommandMemory: Hashable {
    package static func == (left: CommandMemory, right: CommandMemory) -> Bool {
        left.count == right.count
            && left.records.elementsEqual(right.records) { $0.name == $1.name && $0.entry == $1.entry }
    }

    package func hash(into hasher: inout Hasher) {
        for (name, entry) in records {
            hasher.combine(name)
            hasher.combine(entry)
        }
    }
}

extension CommandMemory: Codable {
    private enum CodingKeys: CodingKey {
        case entries, order
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let entries = try container.decode([String: Entry].self, forKey: .entries)
        let order = try container.decode([String].self, forKey: .order)
        for text in order {
            guard let name = CommandName(text), let entry = entries[text], number(of: name, hash: name.hash) == nil
            else {
                throw DecodingError.dataCorruptedError(
                    forKey: .order, in: container, debugDescription: "no remembered command's name: \(text)")
            }
            append(name, name.hash, entry)
        }
        guard count == entries.count else {
            throw DecodingError.dataCorruptedError(
                forKey: .entries, in: container, debugDescription: "commands without a place in the order")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        let entries = records.map { ($0.name.description, $0.entry) }
        try container.encode(Dictionary(entries) { first, _ in first }, forKey: .entries)
        try container.encode(entries.map(\.0), forKey: .order)
    }
}
