package import Domain

package struct TrackerSettings: Hashable, Sendable {
    /// Neighbours a peer is given.
    package var neighbours = 10
    /// Of these, chosen from everybody whatever their labels, so that the parts of a swarm stay one.
    package var farNeighbours = 3
    /// Peers whose values of all these labels are equal are near each other. None: all are equally near.
    package var nearLabels = ["zone", "rack"]
    /// A member that has not announced itself for this long is handed out no more.
    package var silentMilliseconds: Int64 = 30_000
    /// When a member should announce itself again.
    package var announceMilliseconds: Int64 = 5_000
    /// Members of one swarm; further ones get neighbours but are not handed out.
    package var maximumMembers = 200_000
    /// Swarms; announcing in a further one is refused.
    package var maximumSwarms = 1024
    /// Requests that the mirror serves at once: what the members share.
    package var mirrorRequests = 64
    /// The most of them for one member.
    package var maximumRequestsPerMember = 4

    package init() {}
}

/// Where a neighbour gives pieces, as in `http://10.0.0.7:9000`.
package struct SwarmNeighbour: Hashable, Sendable {
    package var name: PeerName
    package var endpoint: String

    package init(name: PeerName, endpoint: String) {
        (self.name, self.endpoint) = (name, endpoint)
    }
}

/// What a member is told.
package struct TrackerAnswer: Hashable, Sendable {
    /// By name.
    package var neighbours: [SwarmNeighbour]
    /// How many requests it may have under way at the mirror.
    package var mirrorRequests: Int
    package var announceMilliseconds: Int64

    package init(neighbours: [SwarmNeighbour], mirrorRequests: Int, announceMilliseconds: Int64) {
        (self.neighbours, self.mirrorRequests) = (neighbours, mirrorRequests)
        self.announceMilliseconds = announceMilliseconds
    }
}

/// Who fetches or serves which pack in a region, and who should talk to whom: bounded random sets, mostly of near
/// ones. An announcement costs its neighbours, not its swarm.
package struct Tracker: Sendable {
    package let settings: TrackerSettings
    private var swarms: [PackName: Swarm] = [:]
    private var generator: SeededGenerator

    package init(settings: TrackerSettings = TrackerSettings(), seed: UInt64) {
        self.settings = settings
        generator = SeededGenerator(seed: seed)
    }

    package var swarmCount: Int { swarms.count }

    package func memberCount(of pack: PackName) -> Int { swarms[pack]?.members.count ?? 0 }

    /// A peer fetches or has a pack and serves it at `endpoint`. Nil when there are too many swarms.
    package mutating func announced(
        _ pack: PackName, peer: PeerName, endpoint: String, labels: [String: String], now: Timestamp
    ) -> TrackerAnswer? {
        guard swarms[pack] != nil || makeRoom(now) else { return nil }
        let group = settings.nearLabels.map { labels[$0] ?? "" }
        return swarms[pack, default: Swarm()].announced(
            Swarm.Member(name: peer, endpoint: endpoint, group: group, lastSeen: now), settings, &generator)
    }

    /// A peer serves a pack no more.
    package mutating func left(_ pack: PackName, peer: PeerName) {
        swarms[pack]?.remove(peer)
        if swarms[pack]?.members.isEmpty == true { swarms[pack] = nil }
    }

    /// Forgets who has been silent for too long. Costs the members looked at: those whose time came.
    package mutating func expire(now: Timestamp) {
        for pack in swarms.keys.sorted() {
            swarms[pack]?.expire(now, settings)
            if swarms[pack]?.members.isEmpty == true { swarms[pack] = nil }
        }
    }

    private mutating func makeRoom(_ now: Timestamp) -> Bool {
        if swarms.count >= settings.maximumSwarms { expire(now: now) }
        return swarms.count < settings.maximumSwarms
    }
}

/// What names a pack: a build of an app.
package struct PackName: Hashable, Comparable, Sendable {
    package var app: AppName
    package var build: BuildID

    package init(app: AppName, build: BuildID) {
        (self.app, self.build) = (app, build)
    }

    package static func < (left: PackName, right: PackName) -> Bool {
        (left.app, left.build) < (right.app, right.build)
    }
}

extension PackName: CustomStringConvertible {
    package var description: String { "\(app)/\(build)" }
}

/// One pack's members.
private struct Swarm: Sendable {
    struct Member: Sendable {
        let name: PeerName
        var endpoint: String
        var group: [String]
        var lastSeen: Timestamp
        /// Whom it was given last; those still here are given again, so that connections live.
        var neighbours: [PeerName] = []
        /// How many were given it.
        var followers = 0
        /// Which joining of the swarm this membership began with.
        var join: UInt64 = 0
    }

    private(set) var members: [PeerName: Member] = [:]
    private var everybody = NameList()
    private var groups: [[String]: NameList] = [:]
    /// Every membership once, the first to be looked at first; those before `watched` have been.
    private var watch: [(name: PeerName, join: UInt64, seen: Timestamp)] = []
    private var watched = 0
    private var joins: UInt64 = 0

    mutating func announced(
        _ member: Member, _ settings: TrackerSettings, _ generator: inout SeededGenerator
    ) -> TrackerAnswer {
        expire(member.lastSeen, settings)
        var member = member
        if let known = members[member.name] {
            if known.group != member.group { move(member.name, from: known.group, to: member.group) }
            (member.neighbours, member.followers, member.join) = (known.neighbours, known.followers, known.join)
            members[member.name] = member
        } else if members.count < settings.maximumMembers {
            insert(member)
        }
        let neighbours = chooseNeighbours(for: member, settings, &generator)
        members[member.name]?.neighbours = neighbours
        return answer(neighbours, settings)
    }

    private func answer(_ neighbours: [PeerName], _ settings: TrackerSettings) -> TrackerAnswer {
        let share = settings.mirrorRequests / max(1, members.count)
        return TrackerAnswer(
            neighbours: neighbours.sorted().compactMap { name in
                members[name].map { SwarmNeighbour(name: name, endpoint: $0.endpoint) }
            },
            mirrorRequests: min(settings.maximumRequestsPerMember, max(1, share)),
            announceMilliseconds: settings.announceMilliseconds)
    }

    private mutating func chooseNeighbours(
        for member: Member, _ settings: TrackerSettings, _ generator: inout SeededGenerator
    ) -> [PeerName] {
        var chosen = member.neighbours.filter { isFresh($0, member.lastSeen, settings) }
        let near = groups[member.group] ?? NameList()
        let nearLimit = min(max(0, settings.neighbours - settings.farNeighbours), max(0, near.count - 1))
        makeRoom(in: &chosen, for: member, nearLimit: nearLimit, settings)
        let kept = chosen.filter { members[$0]?.group == member.group }.count
        add(nearLimit - kept, from: near, to: &chosen, for: member, settings, &generator)
        add(settings.neighbours - chosen.count, from: everybody, to: &chosen, for: member, settings, &generator)
        balance(&chosen, for: member, settings, &generator)
        return chosen
    }

    private func isFresh(_ name: PeerName, _ now: Timestamp, _ settings: TrackerSettings) -> Bool {
        members[name].map { $0.lastSeen.adding(milliseconds: settings.silentMilliseconds) > now } ?? false
    }

    /// Drops far neighbours where near ones have come.
    private mutating func makeRoom(
        in chosen: inout [PeerName], for member: Member, nearLimit: Int, _ settings: TrackerSettings
    ) {
        let far = chosen.filter { members[$0]?.group != member.group }
        let surplus = far.count - (settings.neighbours - nearLimit)
        for name in far.prefix(max(0, surplus)) { drop(name, from: &chosen) }
    }

    /// Exchanges the most crowded neighbour for one that far fewer follow, as near as it: whoever nobody follows keeps
    /// for itself what the mirror gave it.
    private mutating func balance(
        _ chosen: inout [PeerName], for member: Member, _ settings: TrackerSettings,
        _ generator: inout SeededGenerator
    ) {
        guard chosen.count == settings.neighbours, members.count > settings.neighbours + 1,
            let crowded = chosen.max(by: { (followers(of: $0), $0) < (followers(of: $1), $1) })
        else { return }
        let isNear = members[crowded]?.group == member.group
        let list = isNear ? groups[member.group] ?? NameList() : everybody
        let drawn =
            list.count <= settings.neighbours * 2
            ? list.names : (0..<settings.neighbours).map { _ in list.names[generator.below(list.count)] }
        let others = drawn.filter {
            $0 != member.name && (members[$0]?.group == member.group) == isNear && !chosen.contains($0)
                && isFresh($0, member.lastSeen, settings)
        }
        guard let lightest = others.min(by: { (followers(of: $0), $0) < (followers(of: $1), $1) }),
            followers(of: crowded) > followers(of: lightest) + max(1, settings.neighbours / 5)
        else { return }
        drop(crowded, from: &chosen)
        chosen.append(lightest)
        members[lightest]?.followers += 1
    }

    private mutating func drop(_ name: PeerName, from chosen: inout [PeerName]) {
        chosen.removeAll { $0 == name }
        if followers(of: name) > 0 { members[name]?.followers -= 1 }
    }

    /// Draws until enough are found or chance has been tried enough; of two drawn, the one with fewer followers.
    private mutating func add(
        _ count: Int, from list: NameList, to chosen: inout [PeerName], for member: Member,
        _ settings: TrackerSettings, _ generator: inout SeededGenerator
    ) {
        let count = min(count, settings.neighbours - chosen.count)
        guard count > 0, list.count > 0 else { return }
        var candidates = list.count <= settings.neighbours * 2 ? list.names : []
        if candidates.isEmpty {
            for _ in 0..<(count * 4) { candidates.append(list.names[generator.below(list.count)]) }
        } else {
            for place in candidates.indices.dropLast() {
                candidates.swapAt(place, place + generator.below(candidates.count - place))
            }
        }
        var found = 0
        while found < count, let next = popLighter(&candidates) {
            guard next != member.name, !chosen.contains(next), isFresh(next, member.lastSeen, settings) else {
                continue
            }
            chosen.append(next)
            members[next]?.followers += 1
            found += 1
        }
    }

    /// The one of the last two with fewer followers.
    private func popLighter(_ candidates: inout [PeerName]) -> PeerName? {
        if candidates.count >= 2 {
            let (last, other) = (candidates.count - 1, candidates.count - 2)
            if followers(of: candidates[other]) < followers(of: candidates[last]) { candidates.swapAt(last, other) }
        }
        return candidates.popLast()
    }

    private func followers(of name: PeerName) -> Int { members[name]?.followers ?? 0 }

    private mutating func insert(_ member: Member) {
        joins += 1
        members[member.name] = member
        members[member.name]?.join = joins
        everybody.insert(member.name)
        groups[member.group, default: NameList()].insert(member.name)
        watch.append((member.name, joins, member.lastSeen))
    }

    private mutating func move(_ name: PeerName, from old: [String], to new: [String]) {
        groups[old]?.remove(name)
        if groups[old]?.count == 0 { groups[old] = nil }
        groups[new, default: NameList()].insert(name)
    }

    mutating func remove(_ name: PeerName) {
        guard let member = members.removeValue(forKey: name) else { return }
        for neighbour in member.neighbours where followers(of: neighbour) > 0 { members[neighbour]?.followers -= 1 }
        everybody.remove(name)
        groups[member.group]?.remove(name)
        if groups[member.group]?.count == 0 { groups[member.group] = nil }
    }

    mutating func expire(_ now: Timestamp, _ settings: TrackerSettings) {
        while watched < watch.count {
            let (name, join, seen) = watch[watched]
            guard seen.adding(milliseconds: settings.silentMilliseconds) <= now else { break }
            watched += 1
            guard let member = members[name], member.join == join else { continue }
            if member.lastSeen.adding(milliseconds: settings.silentMilliseconds) <= now {
                remove(name)
            } else {
                watch.append((name, join, member.lastSeen))
            }
        }
        if watched > 64, watched * 2 > watch.count {
            watch.removeFirst(watched)
            watched = 0
        }
    }
}

/// Names with places: drawn, added and removed at the same cost however many there are.
private struct NameList: Sendable {
    private(set) var names: [PeerName] = []
    private var places: [PeerName: Int] = [:]

    var count: Int { names.count }

    mutating func insert(_ name: PeerName) {
        guard places[name] == nil else { return }
        places[name] = names.count
        names.append(name)
    }

    mutating func remove(_ name: PeerName) {
        guard let place = places.removeValue(forKey: name) else { return }
        let last = names.removeLast()
        guard place < names.count else { return }
        names[place] = last
        places[last] = place
    }
}
