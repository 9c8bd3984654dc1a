import Codec
import Domain
import Testing

/// An aggregate driven as an engine drives it, with its log and the state after every event.
struct History<A: Aggregate> {
    let log = ArrayLog()
    let codec: any EventCodec<A.Event>
    /// At place n the state after n events.
    private(set) var states: [A.State] = [A.initialState]
    private(set) var now = Timestamp(milliseconds: 1_700_000_000_123)
    private(set) var epoch = Epoch.first
    private var waiting: [Frame] = []

    init(codec: any EventCodec<A.Event>) { self.codec = codec }

    var state: A.State { states[states.count - 1] }
    private var sequence: LogSequence { LogSequence(rawValue: UInt64(states.count - 1)) }

    mutating func wait(milliseconds: Int64) { now = now.adding(milliseconds: milliseconds) }

    /// Decides and takes the events in, if accepted.
    mutating func send(_ command: A.Command, by actor: EventActor = .person("ada"), key: String? = nil) throws {
        let context = DecisionContext(now: now, actor: actor, key: key, sequence: sequence.next, epoch: epoch)
        switch A.decide(state, command, context) {
        case .accepted(let events, _): try take(events, by: actor, key: key)
        case .refused(let refusal):
            if let event = A.refusalEvent(refusal, count: 1, state: state, now: now) { try take([event], by: actor) }
        }
    }

    mutating func fact(_ fact: LogEvent) throws {
        if case .epochStarted(let next, _) = fact { epoch = max(epoch, next) }
        try take([A.event(fact)], by: .system)
    }

    /// Events of one command, believable or not.
    mutating func take(_ events: [A.Event], by actor: EventActor, key: String? = nil) throws {
        let command = sequence.next
        for event in events {
            let header = FrameHeader(
                epoch: epoch, sequence: sequence.next, time: now, command: command, actor: actor,
                key: sequence.next == command ? key : nil, isDerived: actor.kind == .projector)
            let encoded = try codec.encode(event)
            waiting.append(
                Frame(
                    header: header, type: encoded.type, schemaRevision: encoded.schemaRevision,
                    payload: encoded.payload))
            var next = state
            A.reduce(&next, Envelope(header: header, event: event))
            states.append(next)
        }
    }

    /// Everything since the last commit is one batch.
    mutating func commit() throws {
        guard !waiting.isEmpty else { return }
        try log.append(waiting)
        waiting = []
    }
}

/// Steele, Lea and Flood's SplitMix64 ("Fast splittable pseudorandom number generators", 2014).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func chance(_ numerator: Int, in denominator: Int) -> Bool { below(denominator) < numerator }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

func app(_ name: String) -> AppName { AppName(unchecked: name) }
func region(_ name: String) -> RegionName { RegionName(unchecked: name) }
func worker(_ name: String) -> WorkerName { WorkerName(unchecked: name) }
func peer(_ name: String) -> PeerName { PeerName(unchecked: name) }
func manifest(_ number: UInt64) -> Digest { Digest(words: number, 1, 2, 3) }

func commitID(_ number: Int) -> CommitID {
    let digits = String(number, radix: 16)
    guard let commit = CommitID(rawValue: String(repeating: "0", count: 40 - digits.count) + digits) else {
        preconditionFailure("\(number) is no commit number")
    }
    return commit
}

/// Seeds of property tests; a failure prints its own.
func seeds(_ count: Int) -> [UInt64] { (0..<count).map { UInt64($0) &* 0x5851_f42d + 7 } }
