import Swarm
import Testing

@testable import Fleet

@Suite struct FleetTests {
    /// 200 pieces of 64 KiB, so that a run takes a blink.
    private func shape(_ peers: Int, seed: UInt64 = 1, _ change: (inout RegionShape) -> Void = { _ in }) -> RegionShape
    {
        let rate: UInt64 = 1_250_000
        var shape = RegionShape(
            peers: peers, packBytes: 200 << 16, links: [LinkShare(bytesPerSecond: rate, percent: 100)],
            mirrorBytesPerSecond: rate, seed: seed)
        change(&shape)
        return shape
    }

    private static func troubles(_ shape: inout RegionShape) {
        (shape.churn, shape.slowDisks, shape.stragglers, shape.rackPeers) = (0.2, 0.2, 0.05, 8)
        (shape.rackBytesPerSecond, shape.slowDiskBytesPerSecond) = (5_000_000, 600_000)
        (shape.awayMilliseconds, shape.uploadWaitMilliseconds) = (1_000, 500)
    }

    @Test func oneSeedIsOneRun() {
        let runs = [1, 1, 2].map { shape(40, seed: $0, Self.troubles).run() }
        #expect(runs[0] == runs[1])
        #expect(runs[0] != runs[2])
    }

    @Test(arguments: [1, 2, 3])
    func everybodyFinishesWhateverHappens(seed: UInt64) {
        let report = shape(60, seed: seed, Self.troubles).run()
        #expect(report.machines.count == 60)
        #expect(report.machines.count(where: \.isStraggler) == 3)
        #expect(report.machines.allSatisfy { $0.seconds != nil })
        // Nobody is faster than what no plan can do better.
        #expect(report.machines.allSatisfy { ($0.ratio ?? 0) >= 1 })
        #expect(report.mirrorCopies >= 1 && report.mirrorCopies <= 3)
    }

    /// What is sent is received, and no wire carried more than its rate in its time.
    @Test(arguments: [1, 2])
    func bytesAreConservedAndWiresKeepTheirRates(seed: UInt64) {
        var swarm = RegionSwarm(shape(40, seed: seed, Self.troubles))
        swarm.run(until: .max, sampleEvery: .max / 2) { _ in }
        #expect(swarm.isOver)
        let links = swarm.links.links
        let (up, down) = (0..<40).reduce(into: (links[80].bytes, UInt64(0))) { sums, peer in
            sums.0 += swarm.links.up(peer).bytes
            sums.1 += swarm.links.down(peer).bytes
        }
        #expect(up == down)
        #expect((0..<40).allSatisfy { swarm.links.down($0).bytes >= 200 << 16 })
        for link in links {
            #expect(Int64(link.bytes) * link.picosecondsPerByte / 1000 <= link.freeAt)
        }
        #expect(swarm.peers.allSatisfy { $0.picker.isComplete && $0.open.isEmpty })
    }

    /// Simulated, so the same on every machine.
    @Test(arguments: [(16, 1), (16, 2), (120, 1)] as [(Int, UInt64)])
    func theLastPeerIsNotMuchLaterThanItsBound(peers: Int, seed: UInt64) {
        let report = shape(peers, seed: seed).run()
        let last = report.machines.compactMap(\.ratio).max() ?? .infinity
        #expect(last <= 1.35, "\(last)")
        #expect(report.mirrorCopies <= 1.1, "\(report.mirrorCopies) copies")
    }

    @Test func aBoundIsTheSmallestOfLinkAndShareAndMirror() {
        let mixed = shape(4) {
            $0.links = [
                LinkShare(bytesPerSecond: 1_000_000, percent: 50), LinkShare(bytesPerSecond: 9_000_000, percent: 50),
            ]
            $0.mirrorBytesPerSecond = 2_000_000
        }
        // All uploads together are 22 MB/s; the two slow ones take 2, which leaves 10 for each fast one.
        let bytes = Double(200 << 16)
        #expect(RegionSwarm(mixed).bounds.sorted() == [bytes / 2e6, bytes / 2e6, bytes / 1e6, bytes / 1e6])
    }

    @Test func dueThingsComeByTheirBucketsAndInOrder() {
        var (calendar, generator) = (Calendar(), SeededGenerator(seed: 1))
        for number in 0..<UInt32(1000) {
            calendar.add(.decide, at: Int64(generator.below(2_000_000_000)), number)
        }
        var last: (bucket: Int64, number: UInt32) = (0, 0)
        for _ in 0..<1000 {
            let due = calendar.next()
            let next = (due.map { $0.time >> 18 } ?? -1, due?.first ?? 0)
            #expect(last.bucket < next.0 || (last.bucket == next.0 && last.number <= next.1))
            last = next
        }
        #expect(calendar.next() == nil)
    }

    @Test func regionsCopyOverOneWire() throws {
        let layout = try #require(PieceLayout(pieceBytes: 1_000_000, totalBytes: 100_000_000))
        let copy = WideCopy(regions: 6, bytesPerSecond: 10_000_000, delayMilliseconds: 10).run(layout)
        #expect(copy.copies == 5)
        #expect(copy.seconds >= 50 && copy.seconds < 52)
    }

    @Test func percentilesAreValuesOfTheList() {
        let of = Percentiles((1...200).map(Double.init))
        #expect(of?.p50 == 100 && of?.p99 == 198 && of?.last == 200)
        #expect(Percentiles([]) == nil)
    }
}
