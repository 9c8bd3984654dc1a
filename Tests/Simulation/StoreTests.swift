import Codec
import Domain
import Ports
import Swarm
import Testing

@testable import Simulation

/// The simulated disk is honest, and fails as disks do.
@Suite struct StoreTests {
    private let store = SimulatedStore(identity: LogIdentity(high: 1, low: 2))

    private func frame(_ sequence: UInt64) throws -> Frame {
        let event = try GlobalCodec().encode(.log(.engineStalled(milliseconds: Int64(sequence))))
        let number = LogSequence(rawValue: sequence)
        let header = FrameHeader(
            epoch: .first, sequence: number, time: Timestamp(milliseconds: 5), command: number, actor: .system)
        return Frame(header: header, type: event.type, schemaRevision: event.schemaRevision, payload: event.payload)
    }

    private func batch(_ range: ClosedRange<UInt64>) throws -> [Frame] { try range.map(frame) }

    private var sequences: [UInt64] {
        ((try? store.read(after: .zero, maximumFrames: 1000)) ?? []).flatMap(\.frames).map(\.header.sequence.rawValue)
    }

    @Test func whatIsReadIsWhatWasAppended() throws {
        let end = try store.append(try batch(1...3))
        store.settle()
        _ = try store.append(try batch(4...4))
        #expect(sequences == [1, 2, 3, 4])
        #expect(try store.position(at: LogSequence(rawValue: 3)) == end)
        #expect(try store.position(at: LogSequence(rawValue: 2)) == nil)
        let rest = try store.read(after: LogSequence(rawValue: 2), maximumFrames: 1)
        #expect(rest.map { $0.frames.map(\.header.sequence.rawValue) } == [[3]])
    }

    @Test func aCrashTakesAllOfABatchInFlightOrNothing() throws {
        var seen: Set<SimulatedStore.Remains> = []
        for seed in 1...40 {
            let store = SimulatedStore(identity: LogIdentity(high: 1, low: 2))
            _ = try store.append(try batch(1...2))
            store.settle()
            _ = try store.append(try batch(3...20))
            var generator = SeededGenerator(seed: UInt64(seed))
            let remains = store.crash(losesPower: true, &generator)
            seen.insert(remains)
            #expect(try store.head().sequence.rawValue == (remains == .landed ? 20 : 2))
        }
        #expect(seen == [.lost, .torn, .landed])
    }

    @Test func aFullDiskWritesNothing() throws {
        store.plan(.full)
        let failure = #expect(throws: StoreFailure.self) { try store.append(try batch(1...1)) }
        #expect(failure?.outcome == .unchanged)
        _ = try store.append(try batch(1...1))
        #expect(sequences == [1])
    }

    @Test(arguments: [AppendFault.landed, .missed, .hidden]) func anUnknownCommitNeedsAReopen(fault: AppendFault) throws
    {
        store.plan(fault)
        let failure = #expect(throws: StoreFailure.self) { try store.append(try batch(1...1)) }
        #expect(failure?.outcome == .unknown)
        #expect(throws: StoreFailure.self) { try store.append(try batch(1...1)) }
        try store.reopen()
        #expect(sequences == (fault == .landed ? [1] : []))
    }

    /// Until something durable stands in its place.
    @Test(arguments: [false, true]) func aHiddenBatchComesBackWithALossOfPower(isSealed: Bool) throws {
        store.plan(.hidden)
        _ = try? store.append(try batch(1...2))
        try store.reopen()
        if isSealed {
            _ = try store.append(try batch(1...1))
            store.settle()
        }
        var generator = SeededGenerator(seed: 1)
        let remains = store.crash(losesPower: true, &generator)
        #expect(remains == (isSealed ? .nothing : .returned))
        #expect(sequences == (isSealed ? [1] : [1, 2]))
    }

    /// Who follows a log gets at hand what the disk would give, and nothing that the disk has lost.
    @Test func whatIsAtHandIsWhatTheDiskHas() throws {
        var recent = RecentBatches<GlobalEvent>(maximumBatches: 2)
        for range in [1...2, 3...3, 4...6, 7...7, 8...8] as [ClosedRange<UInt64>] {
            _ = try store.append(try batch(range))
            store.settle()
            let after = LogSequence(rawValue: range.lowerBound - 1)
            for batch in try store.read(after: after, maximumFrames: .max) {
                recent.add(SeenBatch(batch, GlobalCodec()))
            }
        }
        #expect(recent.behind(LogSequence(rawValue: 2)) == nil)
        for sequence in [3, 6, 7, 8] as [UInt64] {
            let sequence = LogSequence(rawValue: sequence)
            let found = recent.behind(sequence).map { $0.map(\.batch) }
            #expect(found == (try store.read(after: sequence, maximumFrames: .max)))
        }
        let seventh = try #require(try store.position(at: LogSequence(rawValue: 7)))
        #expect(store.restore(to: seventh).count == 1)
        recent.forget { (try? store.position(at: $0.sequence)) != $0 }
        #expect(recent.behind(LogSequence(rawValue: 6)).map { $0.map(\.batch.end) } == [seventh])
        #expect(recent.behind(LogSequence(rawValue: 7))?.isEmpty == true)
    }

    /// A batch that does not follow the newest one is the first of those at hand.
    @Test func aGapIsNotAtHand() throws {
        var recent = RecentBatches<GlobalEvent>(maximumBatches: 8)
        for sequence in [1, 3] as [UInt64] {
            let end = LogPosition(
                log: store.identity, epoch: .first, sequence: LogSequence(rawValue: sequence), chain: .zero)
            recent.add(SeenBatch(FrameBatch(frames: [try frame(sequence)], end: end), GlobalCodec()))
        }
        #expect(recent.behind(.zero) == nil)
        #expect(recent.behind(LogSequence(rawValue: 2))?.count == 1)
    }
}
