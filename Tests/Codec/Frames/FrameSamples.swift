import Domain

/// A small generator of numbers from a seed (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Any frame that is within its limits.
func randomFrame(_ numbers: inout SeededNumbers) -> Frame {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789.-_é漢")
    func text(_ count: Int) -> String {
        String((0..<count).map { _ in alphabet.randomElement(using: &numbers) ?? "x" })
    }
    let actor = EventActor(
        kind: EventActor.Kind.allCases.randomElement(using: &numbers) ?? .system,
        name: text(Int.random(in: 0...20, using: &numbers)))
    let header = FrameHeader(
        epoch: Epoch(rawValue: numbers.next()), sequence: LogSequence(rawValue: numbers.next()),
        time: Timestamp(milliseconds: Int64(bitPattern: numbers.next())),
        command: LogSequence(rawValue: numbers.next()),
        cause: LogSequence(rawValue: numbers.next()), actor: actor,
        key: Bool.random(using: &numbers) ? text(Int.random(in: 0...40, using: &numbers)) : nil,
        isDerived: Bool.random(using: &numbers))
    let payload = (0..<Int.random(in: 0...1500, using: &numbers)).map { _ in UInt8.random(in: 0...255, using: &numbers)
    }
    return Frame(
        header: header, type: UInt16.random(in: 0...UInt16.max, using: &numbers),
        schemaRevision: UInt16.random(in: 0...UInt16.max, using: &numbers), payload: payload)
}

/// The same frame for ever, for bytes written down in a test.
func plainFrame(sequence: UInt64 = 7, payload: [UInt8] = [1, 2, 3]) -> Frame {
    Frame(
        header: FrameHeader(
            epoch: Epoch(rawValue: 2), sequence: LogSequence(rawValue: sequence),
            time: Timestamp(milliseconds: 1_700_000_000_123), command: LogSequence(rawValue: 6),
            cause: LogSequence(rawValue: 5), actor: .person("ada"), key: "k1", isDerived: true),
        type: 513, schemaRevision: 4, payload: payload)
}
