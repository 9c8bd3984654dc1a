import Foundation
import Testing

@testable import Domain

@Suite("Rows by id")
struct TableTests {
    private struct Row: Hashable, Codable {
        var number: Int
        var texts: [String]
    }

    private typealias Table = IdentifierTable<JobID, Row>

    /// Ids as jobs have them, old ones that stayed, and any number at all.
    private func id(_ random: inout SplitMix64, _ step: Int) -> JobID {
        job(
            random.pick([
                UInt64(step), UInt64(random.below(step + 1)), UInt64(random.below(40)), .max - 1, .max, 1 << 40,
            ]))
    }

    /// What a table and a dictionary are after the same changes; nil when they agree all along.
    private func difference(seed: UInt64, change: (inout Table, JobID, Row?) -> Void) throws -> String? {
        var random = SplitMix64(seed: seed)
        var (table, plain) = (Table(), [JobID: Row]())
        for step in 0..<2000 {
            let key = id(&random, step)
            if random.chance(1, in: 4), plain[key] != nil {
                table[key]?.texts.append("\(step)")
                plain[key]?.texts.append("\(step)")
            } else {
                let row = random.chance(1, in: 2) ? Row(number: step, texts: ["x"]) : nil
                change(&table, key, row)
                plain[key] = row
            }
            if table[key] != plain[key] || table.count != plain.count { return "\(key) at step \(step)" }
            if table.isEmpty != plain.isEmpty { return "emptiness at step \(step)" }
        }
        if table.keys != plain.keys.sorted() || table.contains(where: { plain[$0.key] != $0.value }) { return "rows" }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let bytes = try encoder.encode(plain)
        if try encoder.encode(table) != bytes { return "bytes" }
        if try JSONDecoder().decode(Table.self, from: bytes) != table { return "decoded" }
        return nil
    }

    @Test(
        "a table is a dictionary in the order of its keys, with the same bytes", arguments: 1...6 as ClosedRange<UInt64>
    )
    func sameAsADictionary(seed: UInt64) throws {
        #expect(try difference(seed: seed) { $0[$1] = $2 } == nil)
    }

    @Test("canary: a row that is put beside its place is found")
    func misplaced() throws {
        #expect(try difference(seed: 1) { $0[job($1.rawValue | 1)] = $2 } != nil)
    }

    @Test("a copy stays as it was")
    func copies() {
        var table: Table = [job(1): Row(number: 1, texts: []), job(100): Row(number: 2, texts: [])]
        let copy = table
        table[job(1)]?.number = 7
        table[job(100)] = nil
        table[job(50)] = Row(number: 3, texts: [])
        #expect(copy.map(\.value.number) == [1, 2])
        #expect(table.map(\.value.number) == [7, 3])
        #expect(table.filter { $0.value.number == 7 }.keys == [job(1)])
        #expect(table != copy)
    }

    @Test("what is absent stays absent when a part of it is changed")
    func absent() {
        var table = Table()
        table[job(9)]?.number = 3
        #expect(table.isEmpty && table[job(9)] == nil)
    }
}

@Suite("Commit ids")
struct CommitTests {
    private let digits = "0123456789abcdef"

    @Test("every digit at every place comes back", arguments: [40, 64])
    func digitsComeBack(count: Int) throws {
        for digit in digits {
            for place in 0..<count {
                var text = Array(String(repeating: "0", count: count))
                text[place] = digit
                #expect(CommitID(rawValue: String(text))?.rawValue == String(text))
            }
        }
        let all = String(String(repeating: digits, count: 4).prefix(count))
        #expect(try #require(CommitID(rawValue: all)).description == all)
        #expect(CommitID(rawValue: all) != CommitID(rawValue: String(all.reversed())))
    }

    @Test("every other byte is refused, wherever it stands")
    func others() {
        for byte in 0..<128 as Range<UInt8> where !digits.utf8.contains(byte) {
            for (count, place) in [(40, 0), (40, 7), (40, 39), (64, 32), (64, 63)] {
                var text = [UInt8](repeating: UInt8(ascii: "a"), count: count)
                text[place] = byte
                #expect(CommitID(rawValue: String(decoding: text, as: UTF8.self)) == nil, "\(byte) at \(place)")
            }
        }
        for count in [0, 39, 41, 63, 65, 80] {
            #expect(CommitID(rawValue: String(repeating: "a", count: count)) == nil)
        }
        let short = CommitID(rawValue: String(repeating: "0", count: 40))
        #expect(short != CommitID(rawValue: String(repeating: "0", count: 64)))
    }
}

@Suite("Build-once keys")
struct BuildOnceKeyTests {
    @Test("a key is its text, and comes back from it")
    func textAndBack() throws {
        for wanted in [request(), request(repository: "HTTPS://Git.Example/Web.git/"), request(recipe: "a/b.yml")] {
            let key = wanted.buildOnceKey
            #expect(BuildOnceKey(text: key.text) == key)
            #expect(BuildOnceKey(text: key.text)?.hashValue == key.hashValue)
            #expect(key.app == wanted.app && key.commit == wanted.commit)
        }
        let commit = String(repeating: "a", count: 40)
        for text in ["", "web", "web\nr\n\(commit)", "web\n\(commit)\n", "Web\nr\n\(commit)\nx", "web\nr\nnone\nx"] {
            #expect(BuildOnceKey(text: text) == nil, "\(text)")
        }
    }

    @Test("priority and force are no part of it; spellings of one repository are one")
    func equality() {
        #expect(request(priority: 5, isForced: true).buildOnceKey == request().buildOnceKey)
        #expect(request(repository: "https://git.example/web.git").buildOnceKey == request().buildOnceKey)
        #expect(request(repository: "https://git.example/other").buildOnceKey != request().buildOnceKey)
        for (one, other) in [("/é", "/e\u{301}"), ("/K", "/\u{212A}"), ("/a;", "/a\u{37E}"), ("/`é", "/\u{1FEF}é")] {
            let (one, other) = (request(repository: one).buildOnceKey, request(repository: other).buildOnceKey)
            #expect(one == other)
            #expect(one.hashValue == other.hashValue)
        }
    }
}
