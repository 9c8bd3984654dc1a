import Domain
import Foundation
import Testing

/// A moment of the past as a person names it, on every verb that takes one: what is refused says why, and what to do.
@Suite struct MomentTests {
    private static let verbs = [
        ["jobs"], ["builds"], ["targets"], ["status"], ["peers"],
        ["query", "SELECT max(sequence) AS last FROM events"],
    ]

    @Test func momentsOnEveryVerb() async throws {
        let system = try System()
        let (projector, url) = try await system.start(
            ["--data", system.directory + "/data", "--listen", "127.0.0.1:0", "--peers", "1"])
        let peers = try await eventually("peers are there") {
            let list = try await system.drover(["peers", "--json"], server: url)
            return list.text.split(separator: "\n").count == 2 ? list.text : nil
        }
        #expect(peers.contains(#""region":"one""#))
        let lines = try await system.drover(
            ["query", "SELECT sequence, time FROM events ORDER BY sequence", "--json"], server: url
        ).text.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) }
        let events = lines.compactMap { $0 as? [String: Any] }.compactMap { row -> (Int, String)? in
            guard let sequence = row["sequence"] as? Int, let time = row["time"] as? String else { return nil }
            return (sequence, time)
        }
        let first = try #require(events.first), last = try #require(events.last)
        for verb in Self.verbs {
            for json in [[], ["--json"]] {
                try await refused(verb + json, system, url, first: first.1)
                let then = try await system.drover(verb + ["--at", first.1] + json, server: url)
                let same = events.last { $0.1 == first.1 }?.0 ?? 0
                let isSaid = json.isEmpty
                #expect(then.code == 0, "\(verb): \(then.text)")
                #expect(!isSaid || then.text.contains("as of sequence \(same)"), "\(verb): \(then.text)")
                let nothing = try await system.drover(verb + ["--at", "0"] + json, server: url)
                #expect(nothing.code == 0, "\(verb): \(nothing.text)")
                #expect(!isSaid || nothing.text.contains("as of sequence 0"), "\(verb): \(nothing.text)")
            }
        }
        // Between two events the earlier one counts.
        let place = try #require(events.indices.dropLast().first { events[$0].1 < events[$0 + 1].1 })
        let time = try #require(Timestamp(rfc3339: events[place + 1].1)).adding(milliseconds: -1).rfc3339
        let between = try await system.drover(["status", "--at", time], server: url)
        #expect(between.text.contains("as of sequence \(events[place].0)"), "\(between.text)")
        let diff = try await system.drover(["diff", "0", "\(last.0 + 100_000)"], server: url)
        #expect(diff.code == 2 && diff.text.contains("the log ends at"), "\(diff.text)")
        await system.stop(projector)
    }

    private func refused(_ verb: [String], _ system: System, _ url: String, first: String) async throws {
        for (moment, words) in [
            ("9999999", "the log ends at"), ("2199-01-01T00:00:00Z", "leave it out to see the present"),
            ("2000-01-01T00:00:00Z", "before the log's first event: name a time from \(first) on"),
        ] {
            let run = try await system.drover(verb + ["--at", moment], server: url)
            #expect(run.code == 2 && run.text.contains(words), "\(verb) --at \(moment): \(run.code) \(run.text)")
        }
        for moment in ["yesterday", "1.5", "-1", "2026-13-01T00:00:00Z", ""] {
            let run = try await system.drover(verb + ["--at=\(moment)"], server: url)
            #expect(run.code == 2 && run.text.contains("--at"), "\(verb) --at=\(moment): \(run.code) \(run.text)")
        }
    }
}
