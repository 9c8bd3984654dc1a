import Codec
import Domain
import Testing

struct NDJSONTests {
    @Test func readsWell() throws {
        let header = FrameHeader(
            epoch: .first, sequence: LogSequence(rawValue: 7), time: Timestamp(milliseconds: 1_767_225_600_000),
            command: LogSequence(rawValue: 7), actor: .person("ada"), key: "k-1")
        let app = AppName(unchecked: "web")
        let commit = try #require(CommitID(rawValue: String(repeating: "c0", count: 20)))
        let event = GlobalEvent.queue(
            .enqueued(
                JobID(rawValue: 1), JobRequest(app: app, repository: "https://git.example/\"web\"", commit: commit)))
        let text = """
            {"sequence":7,"epoch":1,"time":"2026-01-01T00:00:00.000Z","command":7,"cause":0,"actor":"person:ada",\
            "key":"k-1","derived":false,"type":"job-enqueued","data":{"job":1,"request":{"app":"web",\
            "repository":"https://git.example/\\"web\\"","commit":"c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",\
            "recipe_path":"drover.yml","priority":0,"forced":false}}}
            """
        #expect(String(decoding: NDJSON.line(try frame(header, event)), as: UTF8.self) == text)
        #expect(try NDJSON.parse(text.utf8) == .event(try frame(header, event)))
    }

    @Test func showsTargetsInTheirTextForms() throws {
        let build = ProvedBuild(build: BuildID(rawValue: 4), manifest: .zero)
        let revision = Revision(epoch: .first, number: 9)
        let target = Target(
            app: AppName(unchecked: "web"), scope: .region(RegionName(unchecked: "eu")), revision: revision,
            deployment: revision, current: build, base: nil, previous: nil,
            selector: PeerSelector(labels: ["tier": "edge", "arch": "x86"]), admittedShare: 10_000,
            actor: .person("ada"), reason: "", issued: .zero, expires: .distantFuture)
        let event = GlobalEvent.targets(.targetChanged(target, .waitingOver, opening: nil))
        let text = String(decoding: NDJSON.line(try frame(plainFrame().header, event)), as: UTF8.self)
        let manifest = String(repeating: "0", count: 64)
        for part in [
            #""scope":"region/eu""#, #""revision":"1.9""#, #""current":{"build":4,"manifest":"\#(manifest)"}"#,
            #""selector":{"arch":"x86","tier":"edge"}"#, #""actor":"person:ada""#, #""origin":"waiting-over""#,
            #""issued":"1970-01-01T00:00:00.000Z""#,
        ] { #expect(text.contains(part), "\(part) is not in \(text)") }
    }

    @Test func everyEventComesBack() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            var headers = ArbitraryEvents(seed: seed)
            for event in try everyEncodedEvent(seed: seed) {
                let frame = Frame(
                    header: headers.header(), type: event.type, schemaRevision: event.schemaRevision,
                    payload: event.payload)
                let line = NDJSON.line(frame)
                let text = String(decoding: line, as: UTF8.self)
                #expect(text.contains(#","data":{"#) && !line.contains(UInt8(ascii: "\n")), "seed \(seed): \(text)")
                #expect(try NDJSON.parse(line) == .event(frame), "seed \(seed): \(text)")
            }
        }
    }

    @Test func whatIsUnknownOrDamagedComesBackToo() throws {
        var numbers = SeededNumbers(seed: 20_260_103)
        for _ in 0..<500 {
            let frame = randomFrame(&numbers)
            #expect(try NDJSON.parse(NDJSON.line(frame)) == .event(frame))
        }
        for event in try (0..<40).flatMap({ try everyEncodedEvent(seed: $0) }) {
            let frame = Frame(
                header: plainFrame().header, type: event.type, schemaRevision: 1,
                payload: mutated(event.payload, &numbers))
            #expect(try NDJSON.parse(NDJSON.line(frame)) == .event(frame))
        }
    }

    @Test func batchesKeepTheirEnds() throws {
        let identity = LogIdentity(high: 1, low: 2)
        let position = LogPosition(
            log: identity, epoch: .first, sequence: LogSequence(rawValue: 8), chain: Digest(words: 1, 2, 3, 4))
        #expect(try NDJSON.parse(NDJSON.line(batchEnd: position)) == .batch(end: position))
        let batch = FrameBatch(frames: [plainFrame(sequence: 7), plainFrame(sequence: 8)], end: position)
        let lines = NDJSON.lines(batch).split(separator: UInt8(ascii: "\n"))
        #expect(try lines.map { try NDJSON.parse($0) } == batch.frames.map { .event($0) } + [.batch(end: position)])
        let text = try #require(lines.last.map { String(decoding: $0, as: UTF8.self) })
        #expect(text.hasPrefix(#"{"batch":{"end":{"log":"00000000000000010000000000000002","epoch":1,"sequence":8,"#))
    }

    @Test(arguments: [
        "", "{}", "[]", "7", "null", "{\"batch\":{}}", "{\"batch\":{\"end\":{}}}", "{\"sequence\":1",
    ])
    func otherTextsAreMalformed(text: String) {
        #expect(code { try NDJSON.parse(text.utf8) } == .malformed)
    }

    @Test func membersMustBeKnownAndRight() throws {
        let line = String(
            decoding: NDJSON.line(try frame(plainFrame().header, .queue(.requeued(JobID(rawValue: 3))))), as: UTF8.self)
        #expect(
            try NDJSON.parse(line.utf8) == .event(try frame(plainFrame().header, .queue(.requeued(JobID(rawValue: 3)))))
        )
        for (old, new, expected) in [
            (#""job":3"#, #""job":-3"#, CodecFailure.Code.malformed), (#""job":3"#, #""job":3.5"#, .malformed),
            (#""job":3"#, #""jobs":3"#, .malformed), (#""job":3"#, #""job":3,"more":1"#, .malformed),
            (#""derived":"#, #""extra":1,"derived":"#, .malformed),
            (#""type":"job-requeued""#, #""type":"job-sung""#, .upgradeNeeded),
            (#""type":"job-requeued""#, #""type":70000"#, .malformed),
            (#""type":"job-requeued""#, #""type":900"#, .upgradeNeeded),
            (#""actor":"#, #""actor":"nobody","x":"#, .malformed), (#""time":"#, #""time":"today","x":"#, .malformed),
        ] {
            let changed = line.replacing(old, with: new)
            try #require(changed != line)
            #expect(code { try NDJSON.parse(changed.utf8) } == expected, "\(changed)")
        }
    }

    @Test func mutatedLinesGiveAFrameOrAFailure() throws {
        let seed: UInt64 = 20_260_104
        print("seed \(seed)")
        var (numbers, frames) = (SeededNumbers(seed: seed), 0)
        let events = try everyEncodedEvent(seed: seed)
        for round in 0..<10_000 {
            let event = events[round % events.count]
            let frame = Frame(header: plainFrame().header, type: event.type, schemaRevision: 1, payload: event.payload)
            guard case .event(let back)? = try? NDJSON.parse(mutated(NDJSON.line(frame), &numbers)) else { continue }
            frames += 1
            #expect(try NDJSON.parse(NDJSON.line(back)) == .event(back))
        }
        #expect(frames > 100 && frames < 9000)
    }

    private func frame(_ header: FrameHeader, _ event: GlobalEvent) throws -> Frame {
        let encoded = try GlobalCodec().encode(event)
        return Frame(
            header: header, type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
    }
}
