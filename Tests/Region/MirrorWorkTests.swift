import Swarm
import Testing

@testable import Domain
@testable import Region

@Suite("What the mirror does next")
struct MirrorWorkTests {
    private let two = RegionName(unchecked: "two")

    private func pack(_ number: UInt64, _ phase: RegionPack.Phase, manifest: UInt64? = nil) -> RegionPack {
        RegionPack(
            app: web, attempt: .first, manifest: Digest(words: manifest ?? number, 0, 0, 0), packedBytes: 1,
            sources: [here, two], isSettled: true, phase: phase, since: LogSequence(rawValue: number))
    }

    private func verify(_ number: UInt64) -> MirrorChange {
        MirrorChange(
            build: build(number), pack: pack(number, .wanted),
            effect: .verifyUpload(build(number), .first, app: web, manifest: pack(number, .wanted).manifest))
    }

    private func copy(_ number: UInt64) -> MirrorChange {
        MirrorChange(
            build: build(number), pack: pack(number, .wanted),
            effect: .mirror(
                build(number), .first, app: web, manifest: pack(number, .wanted).manifest, from: [two]))
    }

    private func stored(_ number: UInt64, manifest: UInt64? = nil) -> MirrorChange {
        MirrorChange(build: build(number), pack: pack(number, .stored, manifest: manifest), effect: nil)
    }

    private func changes(_ changes: [MirrorChange], isWhole: Bool = false) -> MirrorChanges {
        MirrorChanges(count: 1, isWhole: isWhole, changes: changes)
    }

    @Test("builds that fail never hold up the others, and rest longer and longer, each its own time")
    func failing() {
        var work = MirrorWork(seed: 7)
        _ = work.learned(changes((1...4).map(copy)), logTime: .zero, now: 0)
        var (tries, now) = ([BuildID: [Int64]](), Int64(0))
        while now < 3_600_000 {
            for step in work.next(now: now) {
                tries[step.build, default: []].append(now)
                work.failed(step, now: now)
            }
            now += 500
        }
        _ = work.learned(changes([copy(5)]), logTime: .zero, now: 0)
        #expect(work.next(now: now).map(\.build) == [build(5)], "the fifth is begun at once")
        for times in tries.values {
            let rests = zip(times, times.dropFirst()).map { $1 - $0 }
            #expect((500...1500).contains(rests[0]))
            #expect(rests.dropFirst(12).allSatisfy { (150_000...300_500).contains($0) })
        }
        #expect(Set(tries.values).count == 4, "they do not try again in step")
    }

    @Test("a retired pack is removed when its grace is over, in log time, and not before")
    func removal() {
        var work = MirrorWork(seed: 7)
        let removal = MirrorChange(
            build: build(1), pack: pack(1, .stored),
            effect: .remove(build(1), app: web, after: Timestamp(milliseconds: 90_000)))
        _ = work.learned(changes([removal]), logTime: Timestamp(milliseconds: 60_000), now: 5000)
        let isRemoval = { (step: MirrorStep) in if case .effect(.remove) = step { true } else { false } }
        #expect(!work.next(now: 34_999).contains(where: isRemoval))
        #expect(work.next(now: 35_000).contains(where: isRemoval))
    }

    @Test("uploads have slots of their own, beside copies that never end")
    func slots() {
        var work = MirrorWork(seed: 1)
        _ = work.learned(changes((1...9).map(copy)), logTime: .zero, now: 0)
        #expect(work.next(now: 0).count == 4)
        _ = work.learned(changes([verify(10), stored(11)]), logTime: .zero, now: 0)
        #expect(Set(work.next(now: 0).map(\.build)) == [build(10), build(11)])
        #expect(work.next(now: 0).isEmpty)
    }

    @Test("an ended step gives its slot back, and rests before it is repeated")
    func repeats() throws {
        var work = MirrorWork(seed: 1)
        _ = work.learned(changes((1...5).map(copy)), logTime: .zero, now: 0)
        let begun = work.next(now: 0)
        let first = try #require(begun.first)
        #expect(work.succeeded(first, now: 10) == nil)
        #expect(work.next(now: 10).map(\.build) == [build(5)])
        for step in begun.dropFirst() { _ = work.succeeded(step, now: 10) }
        #expect(!work.next(now: 5000).contains(first))
        #expect(work.next(now: 5010).contains(first))
    }

    @Test("another pack of the same build replaces what is offered; one that is gone is offered no more")
    func offers() throws {
        var work = MirrorWork(seed: 1)
        #expect(work.learned(changes([stored(1), stored(2)]), logTime: .zero, now: 0).isEmpty)
        for step in work.next(now: 0) { #expect(work.succeeded(step, now: 0) == nil) }
        #expect(work.learned(changes([stored(1), stored(2)]), logTime: .zero, now: 0).isEmpty)
        #expect(work.next(now: 100_000).isEmpty, "offered already")
        let name = { PackName(app: web, build: build($0)) }
        #expect(work.learned(changes([stored(1, manifest: 9)]), logTime: .zero, now: 0) == [name(1)])
        #expect(work.next(now: 100_000).map(\.build) == [build(1)])
        #expect(work.learned(changes([stored(1, manifest: 9)], isWhole: true), logTime: .zero, now: 0) == [name(2)])
        let lost = MirrorChange(build: build(1), pack: pack(1, .lost), effect: .reportLost(build(1)))
        #expect(work.learned(changes([lost]), logTime: .zero, now: 0).isEmpty, "it was being offered only")
    }

    @Test("an offer that ends after the state has moved on is taken back")
    func lateOffer() throws {
        var work = MirrorWork(seed: 1)
        _ = work.learned(changes([stored(1)]), logTime: .zero, now: 0)
        let step = try #require(work.next(now: 0).first)
        _ = work.learned(changes([], isWhole: true), logTime: .zero, now: 0)
        #expect(work.succeeded(step, now: 0) == PackName(app: web, build: build(1)))
    }
}

@Suite("What the global process is told of levels")
struct ToldLevelsTests {
    private func level(_ app: Int, healthy: UInt32 = 0) -> RegionLevel {
        RegionLevel(
            app: AppName(unchecked: "app-\(1000 + app)"), revision: Revision(epoch: .first, number: 1), selected: 5,
            healthy: healthy, failed: 0, silent: 0)
    }

    @Test("only news, at most 200 a report, and everything again to another epoch")
    func news() {
        var told = ToldLevels()
        told.follows(.first)
        told.looked(at: (0..<450).map { level($0) }, count: 7)
        var sizes: [Int] = []
        while !told.isUpToDate {
            sizes.append(told.report.count)
            told.told(told.report)
        }
        #expect(sizes == [200, 200, 50])
        #expect(told.seen == 7)
        told.looked(at: [level(3), level(4, healthy: 1)], count: 8)
        #expect(told.report == [level(4, healthy: 1)])
        told.looked(at: [level(4)], count: 9)
        #expect(told.isUpToDate, "it is again what was told")
        told.follows(.first)
        #expect(told.seen == 9)
        told.follows(Epoch(rawValue: 2))
        #expect(told.seen == nil)
        told.looked(at: [level(3)], count: 9)
        #expect(told.report == [level(3)])
    }
}
