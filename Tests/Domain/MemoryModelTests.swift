import Foundation
import Testing

@testable import Domain

/// The memory of commands against what it was before it grew fast: a dictionary, and an array for the order.
private struct PlainMemory: Codable {
    var entries: [String: CommandMemory<Int>.Entry] = [:]
    var order: [String] = []

    static func name(_ actor: EventActor, _ key: String) -> String {
        "\(actor.name.utf8.count) \(actor) \(key)"
    }

    mutating func remember(_ actor: EventActor, _ key: String, _ answer: Int, at time: Timestamp, maximum: Int) {
        while let oldest = order.first, let entry = entries[oldest],
            order.count >= maximum || time.millisecondsSince(entry.time) > 24 * 3600 * 1000
        {
            order.removeFirst()
            entries[oldest] = nil
        }
        let name = Self.name(actor, key)
        order.removeAll { $0 == name }
        order.append(name)
        entries[name] = CommandMemory<Int>.Entry(time: time, fingerprint: UInt64(answer), answer: answer)
    }
}

@Suite("The memory of commands is a plain one, only faster")
struct MemoryModelTests {
    private let actors: [EventActor] = [
        .system, .person("x"), .person("x y"), .worker(worker("x")), .person(""), .person("e\u{301}"), .person("é"),
    ]

    private func bytes(_ state: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(state)
    }

    @Test("same answers, same bytes, and the bytes come back", arguments: [5, 700, 5000])
    func sameAsPlain(maximum: Int) throws {
        var random = SplitMix64(seed: 77)
        var (memory, plain) = (CommandMemory<Int>(), PlainMemory())
        var now = Timestamp.zero
        for step in 0..<3000 {
            now = now.adding(seconds: Int64(random.pick([0, 0, 0, 1, 60, random.chance(1, in: 300) ? 90_000 : 0])))
            let actor = random.pick(actors)
            let key = "\(random.below(maximum * 2)) y z"
            if memory.entry(actor: actor, key: key, now: now) == nil || random.chance(1, in: 50) {
                memory.remember(
                    actor: actor, key: key, fingerprint: UInt64(step), answer: step, time: now, maximumEntries: maximum)
                plain.remember(actor, key, step, at: now, maximum: maximum)
            }
            let (asked, other) = (random.pick(actors), "\(random.below(maximum * 2)) y z")
            let known = plain.entries[PlainMemory.name(asked, other)]
            let expected = known.flatMap { now.millisecondsSince($0.time) > 24 * 3600 * 1000 ? nil : $0 }
            #expect(memory.entry(actor: asked, key: other, now: now) == expected)
            #expect(memory.count == plain.order.count)
            if step.isMultiple(of: 500) {
                #expect(try bytes(memory) == bytes(plain))
                let back = try JSONDecoder().decode(CommandMemory<Int>.self, from: bytes(plain))
                #expect(back == memory)
                #expect(back.hashValue == memory.hashValue)
            }
        }
    }

    @Test("what is no memory's bytes is refused")
    func strange() {
        for text in [
            #"{"entries":{},"order":["3 person:ada k"]}"#, #"{"entries":{},"order":["x"]}"#,
            #"{"entries":{"3 person:ada k":{"time":0,"fingerprint":1,"answer":1}},"order":[]}"#,
        ] {
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(CommandMemory<Int>.self, from: Data(text.utf8))
            }
        }
    }

    @Test("a name's description is a name again")
    func names() {
        for actor in actors {
            for key in ["", "k", "a b", " ", "é", "\u{301}"] {
                let name = CommandName(actor: actor, key: key)
                #expect(CommandName(name.description) == name)
            }
        }
        for text in [
            "", "3", "3 person", "3 person:ad", "3 person:ada", "2 person:ada k", "+3 person:ada k", "3 x:ada k",
        ] {
            #expect(CommandName(text) == nil, "\(text)")
        }
    }

    @Test("numbers are found by their hashes, however these collide")
    func hashedNumbers() {
        var random = SplitMix64(seed: 78)
        var (numbers, plain) = (HashedNumbers(), [UInt32: UInt32]())
        let hashes: [UInt32] = [0, 1, 2, 15, 16, 17, 31, .max, .max - 1]
        for number in 0..<4000 as Range<UInt32> {
            let hash = random.chance(1, in: 2) ? random.pick(hashes) : UInt32(truncatingIfNeeded: random.next())
            numbers.insert(number, hash: hash)
            plain[number] = hash
            while plain.count > random.below(300) {
                guard let (gone, hash) = plain.min(by: { $0.key < $1.key }) else { break }
                numbers.remove(gone, hash: hash)
                plain[gone] = nil
                #expect(numbers.first(hash: hash) { $0 == gone } == nil)
            }
            for (number, hash) in plain.prefix(5) { #expect(numbers.first(hash: hash) { $0 == number } == number) }
            #expect(numbers.count == plain.count)
        }
    }

    @Test("a queue of chunks is a queue")
    func chunks() {
        var random = SplitMix64(seed: 79)
        var (queue, plain) = (RecordQueue<Int>(), [(UInt32, CommandName, Int)]())
        for step in 0..<20_000 {
            if random.chance(step < 10_000 ? 2 : 1, in: 3) || plain.isEmpty {
                let name = CommandName(actor: random.pick(actors), key: random.pick(["", "k", "\(step)", "é\(step)"]))
                plain.append((queue.append(step, name: name, hash: UInt32(step)), name, step))
            } else {
                let (number, _, element) = plain.removeFirst()
                #expect(queue.removeFirst() == (number, UInt32(element)))
            }
            #expect(queue.count == plain.count)
            #expect(queue.isFirst { $0 == plain.first?.2 } == !plain.isEmpty)
            if let (number, name, element) = plain.isEmpty ? nil : random.pick(plain) {
                #expect(queue[number] == element)
                #expect(queue.isNamed(number, name))
            }
        }
        #expect(queue.map(\.name) == plain.map(\.1))
        #expect(queue.map(\.entry) == plain.map(\.2))
    }

    @Test("equal texts have one hash, whatever their normal form, and others have others")
    func tableHashes() {
        func hash(_ texts: String...) -> UInt64 {
            texts.reduce(into: TableHash()) { $0.feed($1) }.value
        }
        #expect(hash("é, and more than a word") == hash("e\u{301}, and more than a word"))
        let texts = ["", "a", "b", "aa", "\0", "\0\0", "12345678", "12345678\0", "123456789", "é", "e"]
        #expect(Set(texts.map { hash($0) }).count == texts.count)
        #expect(hash("ab", "c") != hash("a", "bc"))
        #expect(hash("", "a") != hash("a", ""))
    }

    @Test("fingerprints are the same in every process, and tell texts apart as they are split")
    func fingerprints() {
        func fingerprint(_ texts: String...) -> UInt64 {
            texts.reduce(into: Fingerprint()) { $0.feed($1) }.value
        }
        #expect(fingerprint() == 0xa076_1d64_78bd_642f)
        #expect(fingerprint("") == 0x06f9_4163_db2c_b607)
        #expect(fingerprint("more than a word, é") == 0xf2c2_45e7_1c64_ed13)
        #expect(GlobalCommand.queue(.enqueue(request(commit: 7))).fingerprint == 0xe638_cea4_287d_a82f)
        let texts = ["", "a", "b", "aa", "\0", "\0\0", "12345678", "12345678\0", "123456789", "é", "e\u{301}"]
        #expect(Set(texts.map { fingerprint($0) }).count == texts.count)
        #expect(fingerprint("ab", "c") != fingerprint("a", "bc"))
        #expect(fingerprint("", "a") != fingerprint("a", ""))
    }

    @Test("fingerprints tell a short commit from the long one that begins like it and ends in zeros")
    func fingerprintsOfCommits() throws {
        let short = try #require(CommitID(rawValue: String(repeating: "a", count: 40)))
        let long = try #require(CommitID(rawValue: short.rawValue + String(repeating: "0", count: 24)))
        var (one, other) = (Fingerprint(), Fingerprint())
        short.feed(&one)
        long.feed(&other)
        #expect(one != other)
    }

    @Test("keys are their parts, a line each, and digests come back from their bytes")
    func texts() {
        let wanted = request(commit: 7)
        #expect(
            wanted.buildOnceKey.text
                == "\(wanted.app)\n\(canonicalRepository(wanted.repository))\n\(wanted.commit)\n\(wanted.recipePath)")
        let digest = Digest(words: 0x0123_4567_89ab_cdef, 0, .max, 9)
        #expect(Digest(bytes: digest.bytes) == digest)
    }
}
