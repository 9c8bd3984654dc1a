import Codec
import Domain
import Testing

@testable import Views

/// However events come in, batch by batch into a file that is reopened now and then, or all at once into a new one, with
/// much or next to nothing held in memory: the rows are the same.
struct BulkTests {
    @Test(arguments: seeds(6))
    func globalRowsDoNotTellHowTheyWereWritten(seed: UInt64) throws {
        let history = try GlobalHistory.random(seed: seed, steps: 150)
        for log in [history.log, try shuffled(history, seed).log] {
            let scratch = try Scratch()
            try Self.compare(log, seed, scratch) { try scratch.views($0, settings: $1) }
        }
    }

    @Test(arguments: seeds(6))
    func regionalRowsDoNotTellHowTheyWereWritten(seed: UInt64) throws {
        let history = try RegionalHistory.random(seed: seed, steps: 150)
        for log in [history.log, try shuffled(history, seed).log] {
            let scratch = try Scratch()
            try Self.compare(log, seed, scratch) { try scratch.regionalViews($0, settings: $1) }
        }
    }

    private static func compare<Mapping: ViewMapping>(
        _ log: ArrayLog, _ seed: UInt64, _ scratch: Scratch, open: (String, ViewSettings) throws -> Views<Mapping>
    ) throws {
        var tight = ViewSettings()
        (tight.rowsInMemory, tight.eventsAtOnce, tight.rebuildEvents) = (1, 7, 1)
        var random = SplitMix64(seed: seed)
        var slow = try open("slow", ViewSettings())
        for batch in log.all {
            try slow.apply([batch])
            if random.chance(1, in: 9) {
                slow.close()
                slow = try open("slow", random.chance(1, in: 2) ? tight : ViewSettings())
            }
        }
        slow.close()
        let expected = try dump(scratch.file("slow"))
        #expect(expected.count > 50)
        for (name, settings) in [("tight", tight), ("roomy", ViewSettings())] {
            let bulk = try open(name, settings)
            #expect(try bulk.rebuild(from: log) == log.head())
            bulk.close()
            #expect(try dump(scratch.file(name)) == expected, "\(name), seed \(seed)")
            let given = try open(name + " given", settings)
            try given.rebuild { take in
                for batch in log.all { try take([batch]) }
            }
            #expect(given.position == log.head())
            given.close()
            #expect(try dump(scratch.file(name + " given")) == expected, "\(name), given, seed \(seed)")
        }
    }

    /// The same events in an order that makes little sense.
    private func shuffled<A: Aggregate>(_ source: History<A>, _ seed: UInt64) throws -> History<A> {
        var random = SplitMix64(seed: seed)
        var events = try source.log.all.flatMap(\.frames).compactMap { try source.codec.decode($0)?.event }
        events.shuffle(using: &random)
        var history = History<A>(codec: source.codec)
        for event in events {
            history.wait(milliseconds: 1)
            try history.take([event], by: .person("eve"))
            if random.chance(1, in: 3) { try history.commit() }
        }
        try history.commit()
        return history
    }

    /// What is held back belongs to a transaction: when that fails, the next one begins from the file.
    @Test func aFailedTransactionLeavesNothingInMemory() throws {
        let history = try GlobalHistory.random(seed: 7, steps: 150)
        let batches = history.log.all
        let scratch = try Scratch()
        let (views, expected) = (try scratch.views(), try scratch.views("expected"))
        defer { [views, expected].forEach { $0.close() } }
        var bad = batches[batches.count / 2 + 1]
        bad.frames.append(bad.frames[0])
        bad.frames[bad.frames.count - 1].header.sequence = bad.end.sequence.next
        bad.frames[bad.frames.count - 1].type = 0x7FF0
        bad.end.sequence = bad.end.sequence.next
        bad.end.chain = try FrameCodec.chain(after: batches[batches.count / 2].end.chain, bad.frames)
        for (index, batch) in batches.enumerated() {
            if index == batches.count / 2 + 1 {
                #expect { try views.apply([bad]) } throws: { ($0 as? ViewsFailure)?.code == .undecodable }
            }
            try views.apply([batch])
            try expected.apply([batch])
        }
        #expect(try dump(views.path) == dump(expected.path))
    }

    /// What a caller's own source throws comes out as it was, and the old file stays.
    @Test func aSourceThatFailsChangesNothing() throws {
        struct Broken: Error {}
        let history = try GlobalHistory.random(seed: 8, steps: 60)
        let scratch = try Scratch()
        let views = try scratch.views()
        defer { views.close() }
        try views.apply(history.log.all)
        let before = try dump(views.path)
        #expect(throws: Broken.self) {
            try views.rebuild { take in
                try take(Array(history.log.all.prefix(3)))
                throw Broken()
            }
        }
        #expect(try dump(views.path) == before)
        #expect { try views.rebuild { take in try take([history.log.all[1]]) } } throws: {
            ($0 as? ViewsFailure)?.code == .forked
        }
        try views.catchUp(from: history.log)
        #expect(views.position == history.log.head())
    }
}
