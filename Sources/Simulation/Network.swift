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
    private func send(from: Node, to: Node, _ what: StaticString, _ deliver: @escaping Step) {
        guard network.reaches(from.place, to.place), !happens(perMille: network.lossPerMille) else {
            counts.note("message lost")
            return note(from.name, "\(what) to \(to.name) is lost")
        }
        after(delay()) { [self] in
            counts.messages += 1
            deliver()
        }
        guard happens(perMille: network.duplicatesPerMille) else { return }
        counts.note("message duplicated")
        after(delay()) { [self] in
            counts.messages += 1
            deliver()
        }
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
        let exchange = Exchange()
        func finish(_ answer: Answer?) {
            guard !exchange.isOver else { return }
            exchange.isOver = true
            then(answer)
        }
        send(from: from, to: to, what) { [self] in
            let life = to.life
            guard to.isUp else {
                return send(from: to, to: from, what) { [self] in after(0, on: from) { finish(nil) } }
            }
            note(to.name, "\(what) from \(from.name)")
            after(0, on: to) { [self] in
                serve { [self] answer in
                    guard to.isUp, to.life == life else { return }
                    send(from: to, to: from, what) { [self] in after(0, on: from) { finish(answer) } }
                }
            }
        }
        after(milliseconds: timeoutMilliseconds, on: from) { finish(nil) }
    }
}

private final class Exchange {
    var isOver = false
}
