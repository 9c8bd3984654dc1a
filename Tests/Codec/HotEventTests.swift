import Domain
import Testing

@testable import Codec

/// The hot events' own decoder says what SwiftProtobuf says, of any bytes.
struct HotEventTests {
    private static let globalTypes: Set<UInt16> = [101, 102, 103, 104, 105, 106, 107, 108, 109, 111, 201, 403, 405]
    private static let regionalTypes: Set<UInt16> = [501, 502, 504, 507, 508, 509]
    private static let hotTypes = globalTypes.union(regionalTypes)

    /// Of either log.
    private enum Event: Equatable {
        case global(GlobalEvent)
        case regional(RegionEvent)
    }

    /// What is made of a payload: an event or a failure, word for word.
    private typealias Decoder = (EncodedEvent) -> Result<Event?, CodecFailure>

    private let present: Decoder = { event in
        let (type, revision, payload) = (event.type, event.schemaRevision, event.payload)
        return Result { () throws(CodecFailure) in
            Self.regionalTypes.contains(type)
                ? try RegionalCodec().decode(type: type, schemaRevision: revision, payload: payload).map(Event.regional)
                : try GlobalCodec().decode(type: type, schemaRevision: revision, payload: payload).map(Event.global)
        }
    }

    private let oracle: Decoder = { event in
        let (type, revision, payload) = (event.type, event.schemaRevision, event.payload)
        return Result { () throws(CodecFailure) in
            Self.regionalTypes.contains(type)
                ? try RegionalCodec().decodeAny(type: type, schemaRevision: revision, payload: payload)
                    .map(Event.regional)
                : try GlobalCodec().decodeAny(type: type, schemaRevision: revision, payload: payload).map(Event.global)
        }
    }

    private func hot(_ event: EncodedEvent) -> Event? { hot(event.type, event.payload.span) }

    private func hot(_ type: UInt16, _ payload: borrowing Span<UInt8>) -> Event? {
        Self.regionalTypes.contains(type)
            ? RegionEvent(hot: type, payload).map(Event.regional) : GlobalEvent(hot: type, payload).map(Event.global)
    }

    /// Facts that are not about packs are SwiftProtobuf's.
    private func isRare(_ event: Event?) -> Bool {
        switch event {
        case .regional(.taken(.target, _)), .regional(.taken(.region, _)), .regional(.taken(.settings, _)): true
        default: false
        }
    }

    private func hotEvents(seed: UInt64) throws -> [EncodedEvent] {
        try everyEncodedEvent(seed: seed).filter { Self.hotTypes.contains($0.type) }
    }

    /// How many of the mutated payloads a decoder takes otherwise than SwiftProtobuf does, and how many are still events.
    private func mutations(_ decoder: Decoder, rounds: Int) throws -> (disagreements: Int, events: Int) {
        var numbers = SeededNumbers(seed: 20_261_125)
        var valid: [EncodedEvent] = []
        var (disagreements, events) = (0, 0)
        for round in 0..<rounds {
            if round.isMultiple(of: 200) { valid = try hotEvents(seed: UInt64(round) + 1) }
            var event = valid[round % valid.count]
            event.payload = damaged(event.payload, &numbers)
            let expected = oracle(event)
            if decoder(event) != expected { disagreements += 1 }
            if case .success = expected { events += 1 }
        }
        return (disagreements, events)
    }

    /// Bytes changed, dropped, put in, cut off, doubled, or with fields that stand elsewhere.
    private func damaged(_ payload: [UInt8], _ numbers: inout SeededNumbers) -> [UInt8] {
        let place = Int.random(in: 0...payload.count, using: &numbers)
        return switch Int.random(in: 0..<6, using: &numbers) {
        case 0: Array(payload[..<place])
        case 1: Array(payload[place...]) + payload[..<place]
        case 2: payload + payload[place...]
        case 3: payload + [UInt8.random(in: 0...127, using: &numbers), UInt8.random(in: 0...3, using: &numbers)]
        default: mutated(payload, &numbers)
        }
    }

    @Test func everyHotEventIsDecodedByItself() throws {
        for seed in 1...300 as ClosedRange<UInt64> {
            let events = try hotEvents(seed: seed)
            #expect(Set(events.map(\.type)) == Self.hotTypes)
            // Later revisions are SwiftProtobuf's.
            for event in events where event.schemaRevision == 1 {
                let expected = try oracle(event).get()
                // Numbers from 2^63 on take ten bytes.
                if hot(event) == nil, !isRare(expected) {
                    #expect(longNumbers(event.payload), "seed \(seed), type \(event.type)")
                }
                #expect(hot(event) == nil || hot(event) == expected, "seed \(seed), type \(event.type)")
                #expect(try present(event).get() == expected)
            }
        }
    }

    private func longNumbers(_ payload: [UInt8]) -> Bool {
        payload.indices.contains { payload[$0...].prefix(9).count { $0 >= 0x80 } == 9 }
    }

    @Test func othersAreLeftToSwiftProtobuf() throws {
        for event in try everyEncodedEvent(seed: 3) where !Self.hotTypes.contains(event.type) {
            #expect(hot(event) == nil)
        }
    }

    @Test func mutatedPayloadsAreTakenOrRefusedAlike() throws {
        let found = try mutations(present, rounds: 20_000)
        #expect(found.disagreements == 0)
        #expect(found.events > 2000 && found.events < 15_000)
    }

    @Test func mutantsAreFound() throws {
        // Overlooks what is left over.
        let careless: Decoder = { event in
            for end in (0...event.payload.count).reversed() {
                if let event = hot(event.type, event.payload.span.extracting(0..<end)) {
                    return .success(event)
                }
            }
            return oracle(event)
        }
        // Takes an attempt for a job.
        let mixedUp: Decoder = { event in
            guard case .global(.queue(.heartbeat(let job, let attempt, let counter, let stage)))? = hot(event) else {
                return oracle(event)
            }
            let (other, same) = (JobID(rawValue: attempt.rawValue), AttemptNumber(rawValue: job.rawValue))
            return .success(.global(.queue(.heartbeat(other, same, counter: counter, stage: stage))))
        }
        #expect(try mutations(careless, rounds: 2000).disagreements > 0)
        #expect(try mutations(mixedUp, rounds: 2000).disagreements > 0)
    }

    @Test(
        arguments: [
            ("fields in another order", [0x10, 0x02, 0x08, 0x01]), ("a field twice", [0x08, 0x01, 0x08, 0x02]),
            ("zeros that are written", [0x08, 0x00, 0x10, 0x00]), ("a number in more bytes", [0x08, 0x81, 0x80, 0x00]),
            ("the largest number", [0x08] + Array(repeating: 0xff, count: 9) + [0x01]),
            ("a number of eleven bytes", [0x08] + Array(repeating: 0x80, count: 10) + [0x01]),
            ("an unknown field", [0x08, 0x01, 0x78, 0x01]), ("an unknown field of two bytes' tag", [0xa0, 0x06, 0x01]),
            ("a wrong wire type", [0x0a, 0x01, 0x01]), ("a number without end", [0x08, 0x80]), ("a tag alone", [0x08]),
            ("a group", [0x0b, 0x0c]), ("field number 0", [0x00, 0x01]), ("nothing", []),
        ] as [(String, [UInt8])])
    func unusualForms(_ name: String, _ payload: [UInt8]) {
        for type in Self.hotTypes {
            let event = EncodedEvent(type: type, schemaRevision: 1, payload: payload)
            #expect(present(event) == oracle(event), "\(name), type \(type)")
        }
    }

    /// Values at the ends of what fields hold, within messages that are whole otherwise.
    @Test(
        arguments: [
            ("a stage past the last", 103, [0x20, 0x06]), ("a stage of ten bytes", 103, [0x20] + long),
            ("a stage that is 2 in its lower bits", 103, [0x20, 0x82, 0x01]), ("no stage", 103, []),
            ("a lease of more than 32 bits", 102, [0x1a, 0x01, 0x77, 0x20, 0x80, 0x80, 0x80, 0x80, 0x10]),
            ("a lease of ten bytes", 102, [0x1a, 0x01, 0x77, 0x20] + long), ("an empty worker", 102, [0x1a, 0x00]),
            ("a text that is not UTF-8", 107, [0x1a, 0x02, 0xc3, 0x28]),
            ("a surrogate", 107, [0x1a, 3, 0xed, 0xa0, 0x80]),
            ("a text with a zero", 107, [0x1a, 0x02, 0x00, 0x61]),
            ("a byte order mark", 107, [0x1a, 3, 0xef, 0xbb, 0xbf]),
            ("a text that is too long", 107, [0x1a, 0x05, 0x61]), ("a text of huge length", 107, [0x1a] + long),
            ("a length of 2^63 - 1", 107, [0x1a] + Array(repeating: 0xff, count: 8) + [0x7f]),
            ("an empty request", 101, [0x12, 0x00]), ("an empty pack", 104, [0x1a, 0x00]),
            ("a manifest of 31 bytes", 504, [0x1a, 31] + Array(repeating: 7, count: 31)),
        ] as [(String, UInt16, [UInt8])])
    func edges(_ name: String, _ type: UInt16, _ rest: [UInt8]) {
        let event = EncodedEvent(
            type: type, schemaRevision: 1, payload: [0x08, 0x01] + (type == 101 ? [] : [0x10, 0x01]) + rest)
        #expect(present(event) == oracle(event), "\(name)")
    }

    /// Messages in regional events.
    @Test(
        arguments: [
            ("no fact", 501, [0x10, 0x01]), ("an empty fact", 501, [0x0a, 0x00]),
            ("a fact of no known kind", 501, [0x0a, 2, 0x42, 0x00]),
            ("an upload that is empty", 501, [0x0a, 2, 0x0a, 0x00]),
            ("two facts of one event", 501, [0x0a, 6, 0x22, 0x00, 0x22, 2, 0x08, 0x01]),
            ("two kinds of fact", 501, [0x0a, 5, 0x22, 0x00, 0x1a, 0x01, 0x00]),
            ("a job without a number", 501, [0x0a, 2, 0x22, 0x00, 0x10, 0x05]),
            ("a position of nothing", 502, [0x0a, 0x00]), ("no position", 502, []),
            ("an identity of 15 bytes", 502, [0x0a, 17, 0x0a, 15] + Array(repeating: 1, count: 15)),
            ("a peer that runs build 0", 507, peer + [0x1a, 6, 0x0a, 0x00, 0x10, 0x00, 0x18, 0x01]),
            ("a peer that runs nothing", 507, peer + [0x1a, 4, 0x0a, 0x00, 0x18, 0x01]),
            ("a report without a revision", 507, peer + [0x1a, 2, 0x18, 0x01]),
            ("a health past the last", 507, peer + [0x1a, 4, 0x0a, 0x00, 0x18, 0x09]),
            ("a peer without a name", 508, []), ("a peer of another alphabet", 509, [0x0a, 2, 0xc3, 0xa9]),
        ] as [(String, UInt16, [UInt8])])
    func regionalEdges(_ name: String, _ type: UInt16, _ payload: [UInt8]) {
        let event = EncodedEvent(type: type, schemaRevision: 1, payload: payload)
        #expect(present(event) == oracle(event), "\(name)")
    }

    /// How many events an encoder writes otherwise than SwiftProtobuf does.
    private func otherwise(_ encode: (GlobalEvent) throws(CodecFailure) -> EncodedEvent) throws -> Int {
        var count = 0
        for seed in 1...300 as ClosedRange<UInt64> {
            var events = ArbitraryEvents(seed: seed)
            for event in events.everyGlobalEvent() {
                let expected = try GlobalCodec().encodeAny(event)
                if try encode(event) != expected { count += 1 }
            }
        }
        return count
    }

    @Test func eventsAreWrittenAsBySwiftProtobuf() throws {
        #expect(try otherwise(GlobalCodec().encode) == 0)
        for seed in 1...300 as ClosedRange<UInt64> {
            var events = ArbitraryEvents(seed: seed)
            for event in events.everyRegionEvent() {
                #expect(try RegionalCodec().encode(event) == RegionalCodec().encodeAny(event), "\(event)")
            }
        }
    }

    @Test func messagesOfEveryLengthAreWrittenAlike() throws {
        let commit = try #require(CommitID(rawValue: String(repeating: "c0", count: 32)))
        for length in 0...600 {
            let request = JobRequest(
                app: AppName(unchecked: "web"), repository: String(repeating: "r", count: length), commit: commit,
                recipePath: "", priority: Int32.min, isForced: length.isMultiple(of: 2))
            let event = GlobalEvent.queue(.enqueued(JobID(rawValue: UInt64(length)), request))
            #expect(try GlobalCodec().encode(event) == GlobalCodec().encodeAny(event), "\(length)")
        }
    }

    @Test func whatIsTooLargeIsRefusedAlike() throws {
        let long = GlobalEvent.queue(.failed(JobID(rawValue: 1), .exit, detail: String(repeating: "x", count: 1900)))
        var failures: [CodecFailure] = []
        for encode in [GlobalCodec().encode, GlobalCodec().encodeAny] {
            do throws(CodecFailure) { _ = try encode(long) } catch { failures.append(error) }
        }
        #expect(failures.count == 2 && failures[0] == failures[1])
        #expect(failures.first?.code == .tooLarge)
    }

    @Test func anEncoderThatWritesAZeroIsFound() throws {
        let wrong = try otherwise { event throws(CodecFailure) in
            var encoded = try GlobalCodec().encode(event)
            if case .queue(.heartbeat(_, _, counter: 0, _)) = event { encoded.payload += [0x18, 0x00] }
            return encoded
        }
        #expect(wrong > 0)
    }

    /// A decoder that takes a peer on which nothing runs for one that runs build 0.
    @Test func absenceIsNotZero() throws {
        let revision = Revision(epoch: .first, number: 1)
        let reports = [nil, BuildID(rawValue: 0)].map { PeerApp(revision: revision, build: $0, health: .idle) }
        let decoded = try reports.map { report in
            let event = RegionEvent.peerChanged(PeerName(unchecked: "p"), AppName(unchecked: "web"), report)
            let found = hot(try RegionalCodec().encode(event))
            #expect(found == .regional(event))
            return found
        }
        #expect(decoded[0] != decoded[1])
    }

    private static let peer: [UInt8] = [0x0a, 1, 0x70, 0x12, 1, 0x77]
    private static let long: [UInt8] = Array(repeating: 0xff, count: 9) + [0x01]
}
