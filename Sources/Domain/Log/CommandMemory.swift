internal import DequeModule

/// The accepted commands of the last day, by (actor, key): a repeat gets its first answer.
package struct CommandMemory<Answer: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
    package struct Entry: Hashable, Sendable, Codable {
        package var time: Timestamp
        package var fingerprint: UInt64
        package var answer: Answer
    }

    package static var lifetimeSeconds: Int64 { 24 * 3600 }
    package static var maximumEntries: Int { 1_000_000 }

    /// Keyed by actor and key. Invariant: every key stands in `order` once, oldest first.
    private var entries: [String: Entry] = [:]
    private var order: Deque<String> = []

    package init() {}

    package var count: Int { entries.count }

    /// What was answered to this key within the last 24 hours of log time.
    package func entry(actor: EventActor, key: String, now: Timestamp) -> Entry? {
        guard let entry = entries[Self.name(actor, key)] else { return nil }
        return now.millisecondsSince(entry.time) > Self.lifetimeSeconds * 1000 ? nil : entry
    }

    package mutating func remember(
        actor: EventActor, key: String, fingerprint: UInt64, answer: Answer, time: Timestamp,
        maximumEntries: Int = Self.maximumEntries
    ) {
        let name = Self.name(actor, key)
        forgetOld(now: time, maximumEntries: maximumEntries)
        if entries.updateValue(Entry(time: time, fingerprint: fingerprint, answer: answer), forKey: name) == nil {
            order.append(name)
        } else if let place = order.firstIndex(of: name) {
            order.remove(at: place)
            order.append(name)
        }
    }

    private mutating func forgetOld(now: Timestamp, maximumEntries: Int) {
        while let oldest = order.first, let entry = entries[oldest],
            order.count >= maximumEntries
                || now.millisecondsSince(entry.time) > Self.lifetimeSeconds * 1000
        {
            order.removeFirst()
            entries[oldest] = nil
        }
    }

    /// The length keeps a name that ends like another one's key apart from it.
    private static func name(_ actor: EventActor, _ key: String) -> String {
        "\(actor.name.utf8.count) \(actor) \(key)"
    }
}

/// FNV-1a over 64 bits: tells the arguments of two commands under one key apart, the same in every process.
/// Source: Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv/.
package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func feed(_ text: String) {
        let bytes = text.utf8Span.span
        for index in bytes.indices { feed(byte: bytes[index]) }
        feed(byte: 0xff)
    }

    package mutating func feed(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { feed(byte: UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private mutating func feed(byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
}
