import Codec
import Domain
import Testing

/// Any bytes give an event or a failure, and what gives an event gives the same event again.
struct TotalityTests {
    private static let iterations = 10_000

    @Test func randomBytes() throws {
        let seed: UInt64 = 20_260_101
        print("seed \(seed)")
        var (numbers, events) = (SeededNumbers(seed: seed), 0)
        for _ in 0..<Self.iterations {
            let type = knownEventTypes.randomElement(using: &numbers) ?? 1
            let count = Int.random(in: 0...80, using: &numbers)
            let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) }
            events += try check(EncodedEvent(type: type, schemaRevision: 1, payload: payload)) ? 1 : 0
        }
        #expect(events > 0 && events < Self.iterations / 2)
    }

    @Test func mutatedPayloads() throws {
        let seed: UInt64 = 20_260_102
        print("seed \(seed)")
        var (numbers, events) = (SeededNumbers(seed: seed), 0)
        var valid: [EncodedEvent] = []
        for round in 0..<Self.iterations {
            if round.isMultiple(of: 500) { valid = try everyEncodedEvent(seed: seed + UInt64(round)) }
            var event = valid[round % valid.count]
            event.payload = mutated(event.payload, &numbers)
            events += try check(event) ? 1 : 0
        }
        #expect(events > Self.iterations / 100 && events < Self.iterations * 9 / 10)
    }

    /// Whether the bytes give an event. What it gives must be stable from there on.
    private func check(_ event: EncodedEvent) throws -> Bool {
        guard let once = try reencoded(event) else { return false }
        #expect(once.type == event.type)
        #expect(try reencoded(once) == once)
        return true
    }
}
