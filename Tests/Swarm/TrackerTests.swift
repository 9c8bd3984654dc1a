import Domain
import Testing

@testable import Swarm

private func moment(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

private func peer(_ number: Int) -> PeerName { PeerName(unchecked: "peer-\(number)") }

private func pack(_ number: Int) -> PackName {
    PackName(app: AppName(unchecked: "web"), build: BuildID(rawValue: UInt64(number)))
}

/// A tracker whose answers can stand inside an expectation.
private final class TrackerBox {
    private var tracker: Tracker

    init(_ settings: TrackerSettings = TrackerSettings(), seed: UInt64) {
        tracker = Tracker(settings: settings, seed: seed)
    }

    var swarmCount: Int { tracker.swarmCount }
    func memberCount(of pack: PackName) -> Int { tracker.memberCount(of: pack) }
    func expire(now: Timestamp) { tracker.expire(now: now) }
    func left(_ pack: PackName, peer: PeerName) { tracker.left(pack, peer: peer) }

    func join(_ number: Int, pack: PackName, zone: String = "a", at now: Int64 = 0) -> TrackerAnswer? {
        tracker.announced(
            pack, peer: peer(number), endpoint: "http://10.0.0.1:\(number)", labels: ["zone": zone, "rack": "1"],
            now: moment(now))
    }
}

struct TrackerTests {
    @Test func aFewPeersGetEachOther() throws {
        let tracker = TrackerBox(seed: 1)
        for number in 0..<3 { _ = tracker.join(number, pack: pack(1)) }
        let answer = try #require(tracker.join(0, pack: pack(1)))
        #expect(answer.neighbours.map(\.name) == [peer(1), peer(2)])
        #expect(answer.neighbours.map(\.endpoint) == ["http://10.0.0.1:1", "http://10.0.0.1:2"])
        #expect(answer.mirrorRequests == 4)
    }

    @Test func neighboursAreBoundedMostlyNearAndSomeFar() throws {
        let tracker = TrackerBox(seed: 1)
        for number in 0..<400 { _ = tracker.join(number, pack: pack(1), zone: "zone-\(number % 8)") }
        var far = 0
        for number in 0..<400 {
            let answer = try #require(tracker.join(number, pack: pack(1), zone: "zone-\(number % 8)"))
            #expect(answer.neighbours.count == 10)
            #expect(!answer.neighbours.contains { $0.name == peer(number) })
            let near = answer.neighbours.filter { Int($0.name.rawValue.dropFirst(5)).map { $0 % 8 } == number % 8 }
            #expect(near.count >= 5)
            far += 10 - near.count
            #expect(answer.mirrorRequests == 1)
        }
        #expect(far > 400)
    }

    /// Whoever came last is followed as well, in a swarm hardly larger than a neighbourhood too: the mirror gives it pieces
    /// that nobody else was given.
    @Test(arguments: [16, 20, 33, 300]) func everybodyIsReachedAndNobodyIsCrowded(count: Int) throws {
        let tracker = TrackerBox(seed: 3)
        for _ in 0..<5 { for number in 0..<count { _ = tracker.join(number, pack: pack(1)) } }
        var (edges, followers): ([PeerName: [PeerName]], [PeerName: Int]) = ([:], [:])
        for number in 0..<count {
            let names = try #require(tracker.join(number, pack: pack(1))).neighbours.map(\.name)
            edges[peer(number)] = names
            for name in names { followers[name, default: 0] += 1 }
        }
        var (reached, frontier): (Set<PeerName>, [PeerName]) = ([peer(0)], [peer(0)])
        while let next = frontier.popLast() {
            for name in edges[next] ?? [] where reached.insert(name).inserted { frontier.append(name) }
        }
        #expect(reached.count == count)
        #expect(followers.count == count)
        #expect(followers.values.max() ?? 0 < 20)
        #expect(followers.values.min() ?? 0 > 5)
    }

    @Test func neighboursAreKeptWhileTheyLive() throws {
        let tracker = TrackerBox(seed: 1)
        for number in 0..<100 { _ = tracker.join(number, pack: pack(1)) }
        let before = try #require(tracker.join(0, pack: pack(1))).neighbours
        tracker.left(pack(1), peer: before[0].name)
        let after = try #require(tracker.join(0, pack: pack(1))).neighbours
        #expect(after.count == 10)
        #expect(Set(after).intersection(before.dropFirst()).count >= 8)
        #expect(!after.contains(before[0]))
    }

    @Test func theSilentAreForgotten() throws {
        let tracker = TrackerBox(seed: 1)
        for number in 0..<50 { _ = tracker.join(number, pack: pack(1)) }
        _ = tracker.join(7, pack: pack(1), at: 20_000)
        tracker.expire(now: moment(29_999))
        #expect(tracker.memberCount(of: pack(1)) == 50)
        let answer = try #require(tracker.join(8, pack: pack(1), at: 30_000))
        #expect(answer.neighbours.map(\.name) == [peer(7)])
        tracker.expire(now: moment(60_000))
        #expect(tracker.swarmCount == 0)
    }

    @Test func stateIsBounded() {
        var settings = TrackerSettings()
        (settings.maximumMembers, settings.maximumSwarms) = (5, 3)
        let tracker = TrackerBox(settings, seed: 1)
        for number in 0..<10 { #expect(tracker.join(number, pack: pack(1)) != nil) }
        #expect(tracker.memberCount(of: pack(1)) == 5)
        #expect(tracker.join(0, pack: pack(2)) != nil)
        #expect(tracker.join(0, pack: pack(3)) != nil)
        #expect(tracker.join(0, pack: pack(4)) == nil)
        #expect(tracker.join(0, pack: pack(4), at: 40_000) != nil)
        #expect(tracker.swarmCount == 1)
    }

    @Test func aPeerMayMoveAndLeave() throws {
        let tracker = TrackerBox(seed: 1)
        _ = tracker.join(0, pack: pack(1), zone: "a")
        _ = tracker.join(1, pack: pack(1), zone: "a")
        _ = tracker.join(1, pack: pack(1), zone: "b")
        #expect(tracker.join(0, pack: pack(1), zone: "a")?.neighbours.map(\.name) == [peer(1)])
        tracker.left(pack(1), peer: peer(1))
        tracker.left(pack(1), peer: peer(1))
        #expect(tracker.join(0, pack: pack(1), zone: "a")?.neighbours == [])
    }

    @Test(arguments: 0..<20)
    func anyComingsAndGoingsKeepAnswersRight(seed: Int) {
        let tracker = TrackerBox(seed: UInt64(seed))
        var (generator, now) = (SeededGenerator(seed: UInt64(seed)), Int64(0))
        var lastSeen: [PeerName: Int64] = [:]
        for _ in 0..<2000 {
            now += Int64(generator.below(400))
            let number = generator.below(60)
            if generator.below(5) == 0 {
                tracker.left(pack(1), peer: peer(number))
                lastSeen[peer(number)] = nil
                continue
            }
            let names = tracker.join(number, pack: pack(1), zone: "\(generator.below(3))", at: now)?.neighbours.map(
                \.name)
            lastSeen[peer(number)] = now
            #expect(Set(names ?? []).count == names?.count)
            #expect(names?.contains(peer(number)) == false)
            #expect(names?.allSatisfy { (lastSeen[$0] ?? .min) > now - 30_000 } == true)
        }
    }
}
