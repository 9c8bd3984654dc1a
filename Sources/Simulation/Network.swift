import Swarm

/// Who reaches whom, how late, and how often not at all.
struct Network {
    /// Messages lost, of a thousand.
    var lossPerMille = 0
    var duplicatesPerMille = 0
    /// Messages that take long, of a thousand.
    var slowPerMille = 0
    var delayMicroseconds: ClosedRange<Int64> = 100...2000
    var slowMicroseconds: ClosedRange<Int64> = 20_000...4_000_000
    /// Nodes of different parts do not reach each other.
    private var part: [Int] = []
    /// Ways that are cut in one direction.
    private var cuts: Set<Way> = []

    private struct Way: Hashable {
        var from: Int
        var to: Int
    }

    mutating func add() { part.append(0) }

    mutating func split(_ place: Int, into part: Int) { self.part[place] = part }

    mutating func cut(from: Int, to: Int) { cuts.insert(Way(from: from, to: to)) }

    mutating func heal() {
        part = part.map { _ in 0 }
        cuts = []
    }

    mutating func calm() {
        heal()
        (lossPerMille, duplicatesPerMille, slowPerMille) = (0, 0, 0)
    }

    func reaches(_ from: Int, _ to: Int) -> Bool {
        part[from] == part[to] && (cuts.isEmpty || !cuts.contains(Way(from: from, to: to)))
    }
}

extension World {
    /// One message on its way: it comes once, late, twice or never.
    fileprivate func send(from: Node, to: Node, _ what: StaticString, _ message: Occurrence) {
        guard network.reaches(from.place, to.place), !happens(perMille: network.lossPerMille) else {
            counts.note("message lost")
            return note(from.name, "\(what) to \(to.name) is lost")
        }
        put(message, in: delay())
        guard happens(perMille: network.duplicatesPerMille) else { return }
        counts.note("message duplicated")
        put(message, in: delay())
    }

    private func delay() -> Int64 {
        guard happens(perMille: network.slowPerMille) else { return among(network.delayMicroseconds) }
        counts.note("message delayed")
        return among(network.slowMicroseconds)
    }

    /// A call that is answered, or not: nil when nobody answered in time, or nobody was there.
    ///
    /// - Parameters:
    ///   - serve: runs where the request arrives, as often as it does; hands over its answer at once or later.
    ///   - then: runs once where the call was made, unless that has crashed meanwhile.
    func call<Answer>(
        _ what: StaticString, from: Node, to: Node, timeoutMilliseconds: Int64,
        serve: @escaping (@escaping (Answer) -> Void) -> Void, then: @escaping (Answer?) -> Void
    ) {
        let exchange = Exchange(world: self, what: what, from: from, to: to, serve: serve, then: then)
        send(from: from, to: to, what, Occurrence(kind: .message) { exchange.arrive() })
        after(milliseconds: timeoutMilliseconds, on: from) { exchange.finish(nil) }
    }
}

/// A call on its way there and back. Its messages' steps hold nothing but it.
private final class Exchange<Answer> {
    private let world: World
    private let what: StaticString
    private let from: Node
    private let to: Node
    private let serve: (@escaping (Answer) -> Void) -> Void
    /// Nil when it is over.
    private var then: ((Answer?) -> Void)?

    init(
        world: World, what: StaticString, from: Node, to: Node,
        serve: @escaping (@escaping (Answer) -> Void) -> Void, then: @escaping (Answer?) -> Void
    ) {
        (self.world, self.what, self.from, self.to) = (world, what, from, to)
        (self.serve, self.then) = (serve, then)
    }

    func finish(_ answer: Answer?) { then.take()?(answer) }

    /// The request is there.
    func arrive() {
        guard to.isUp else {
            return world.send(from: to, to: from, what, Occurrence(kind: .answer(from)) { [self] in finish(nil) })
        }
        world.note(to.name, "\(what) from \(from.name)")
        world.after(0, on: to) { [self] in answer() }
    }

    private func answer() {
        let life = to.life
        serve { [self] answer in
            guard to.isUp, to.life == life else { return }
            world.send(from: to, to: from, what, Occurrence(kind: .answer(from)) { [self] in finish(answer) })
        }
    }
}
