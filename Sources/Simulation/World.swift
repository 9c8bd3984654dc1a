import Domain
import Ports
import Swarm

/// A machine, or a process on it: it is up or not, it may be stopped for a while, and it has clocks of its own.
final class Node {
    let name: String
    /// Its place in the network.
    let place: Int
    let clock: SimulatedClock
    var isUp = true
    /// Grows with every crash: what an earlier life began is nothing to a later one.
    var life: UInt64 = 0
    /// Stopped, and unaware of it, until then; in microseconds of the world.
    var pausedUntil: Int64 = 0

    init(name: String, place: Int, clock: SimulatedClock) {
        (self.name, self.place, self.clock) = (name, place, clock)
    }

    var monotonic: Int64 { clock.read().monotonicMilliseconds }
}

/// Something in the calendar: a step, and what it depends on. It costs its step's own context and nothing else.
struct Occurrence {
    enum Kind {
        case step
        /// Of a node: if it still lives this life, and when it goes on.
        case stepOn(Node, life: UInt64)
        /// A message arrives, whatever its receiver makes of it.
        case message
        /// An answer arrives: its step is the receiver's next one.
        case answer(Node)
    }

    var kind: Kind
    var step: World.Step
}

/// A rule that did not hold.
package struct Finding: Hashable, Sendable, CustomStringConvertible {
    /// The rule's name, as in `claims-in-order`.
    package var rule: String
    package var detail: String
    /// Of the world, in milliseconds since it began.
    package var atMilliseconds: Int64

    package var description: String { "\(rule) at \(atMilliseconds) ms: \(detail)" }
}

/// Everything in one process, from one seed: time that jumps from one occurrence to the next, a network, machines.
///
/// Single-threaded. All chance comes from the seed; nothing looks at a real clock, and nothing depends on the order of a
/// dictionary, so that one seed is one run, byte for byte, in every process.
final class World {
    typealias Step = () -> Void

    let time = WorldTime()
    var chance: SeededGenerator
    var network: Network
    var counts = Counts()
    var trace: Trace
    private(set) var finding: Finding?
    private var calendar = Calendar<Occurrence>()
    private(set) var nodes: [Node] = []
    private let wallMilliseconds: Int64
    /// Packs that were really read back, and where.
    var readBacks: Set<ReadBackFact> = []
    /// Begins every idempotency key: a recorded log remembers those of another world.
    var keyPrefix = ""
    /// Who looks at what machines do.
    weak var notes: Simulation?

    init(seed: UInt64, wallMilliseconds: Int64, trace: Trace) {
        chance = SeededGenerator(seed: seed)
        network = Network()
        (self.trace, self.wallMilliseconds) = (trace, wallMilliseconds)
    }

    var now: Int64 { time.now }

    /// A new machine; its clocks agree with nobody's to the millisecond.
    func add(_ name: String) -> Node {
        let skew = Int64(below(400)) - 200
        let clock = SimulatedClock(
            time, wallMilliseconds: wallMilliseconds + skew,
            monotonicMilliseconds: 1_000_000 + Int64(chance.below(1_000_000)))
        let node = Node(name: name, place: nodes.count, clock: clock)
        nodes.append(node)
        network.add()
        return node
    }

    /// The process on it is gone: what it began is nothing to the next one.
    func down(_ node: Node) {
        (node.isUp, node.pausedUntil) = (false, 0)
        node.life += 1
        note(node.name, "is down")
    }

    /// Whatever started the process starts it again.
    func restartSoon(_ node: Node, crash: @escaping (Bool) -> Void, start: @escaping () -> Void) {
        after(0) { [self] in
            guard node.isUp else { return }
            crash(false)
            let life = node.life
            after(among(200_000...5_000_000)) { if !node.isUp, node.life == life { start() } }
        }
    }

    // MARK: Time

    /// Does what comes next; false when nothing does, or a rule was broken.
    func step() -> Bool {
        guard finding == nil, let (moment, occurrence) = calendar.next() else { return false }
        time.advance(to: moment)
        counts.occurrences += 1
        go(occurrence, at: moment)
        return finding == nil
    }

    private func go(_ occurrence: Occurrence, at moment: Int64) {
        switch occurrence.kind {
        case .step: occurrence.step()
        case .message:
            counts.messages += 1
            occurrence.step()
        case .answer(let receiver):
            counts.messages += 1
            after(0, on: receiver, occurrence.step)
        case .stepOn(let node, let life):
            guard node.isUp, node.life == life else { return }
            if node.pausedUntil > moment { return calendar.put(occurrence, at: node.pausedUntil) }
            occurrence.step()
        }
    }

    /// In so many microseconds, whatever becomes of anybody.
    func after(_ microseconds: Int64, _ body: @escaping Step) {
        put(Occurrence(kind: .step, step: body), in: microseconds)
    }

    /// In so many microseconds, if the node still lives this life; a stopped node does it when it goes on.
    func after(_ microseconds: Int64, on node: Node, _ body: @escaping Step) {
        put(Occurrence(kind: .stepOn(node, life: node.life), step: body), in: microseconds)
    }

    func after(milliseconds: Int64, on node: Node, _ body: @escaping Step) {
        after(milliseconds * 1000, on: node, body)
    }

    func put(_ occurrence: Occurrence, in microseconds: Int64) {
        calendar.put(occurrence, at: now + max(0, microseconds))
    }

    // MARK: Chance

    func below(_ bound: Int) -> Int { bound > 1 ? chance.below(bound) : 0 }

    func among(_ range: ClosedRange<Int64>) -> Int64 {
        range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
    }

    /// True so many times in a thousand.
    func happens(perMille: Int) -> Bool { perMille > 0 && chance.below(1000) < perMille }

    func pick<T>(_ items: [T]) -> T? { items.isEmpty ? nil : items[below(items.count)] }

    // MARK: Rules

    /// The first broken rule ends the run.
    func broken(_ rule: String, _ detail: @autoclosure () -> String) {
        guard finding == nil else { return }
        finding = Finding(rule: rule, detail: detail(), atMilliseconds: now / 1000)
        note("broken", "\(rule): \(finding?.detail ?? "")")
    }

    func note(_ who: @autoclosure () -> String, _ what: @autoclosure () -> String) {
        if trace.isOn { trace.line(now, who(), what()) }
    }

    /// Lets go of what the occurrences hold.
    func end() { calendar = Calendar() }
}
