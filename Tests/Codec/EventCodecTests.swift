import Codec
import Domain
import Testing

struct EventCodecTests {
    @Test func everyGlobalEventComesBack() throws {
        for seed in 1...300 as ClosedRange<UInt64> {
            var events = ArbitraryEvents(seed: seed)
            for event in events.everyGlobalEvent() {
                let encoded = try GlobalCodec().encode(event)
                let back = try GlobalCodec().decode(
                    type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
                #expect(back == event, "seed \(seed)")
            }
        }
    }

    @Test func everyRegionEventComesBack() throws {
        for seed in 1...300 as ClosedRange<UInt64> {
            var events = ArbitraryEvents(seed: seed)
            for event in events.everyRegionEvent() {
                let encoded = try RegionalCodec().encode(event)
                let back = try RegionalCodec().decode(
                    type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
                #expect(back == event, "seed \(seed)")
            }
        }
    }

    @Test func generatorsKnowEveryType() throws {
        #expect(Set(try everyEncodedEvent(seed: 1).map(\.type)) == Set(knownEventTypes))
    }

    @Test func sameEventHasSameBytes() throws {
        #expect(try everyEncodedEvent(seed: 5) == everyEncodedEvent(seed: 5))
        let forwards = Dictionary(uniqueKeysWithValues: (0..<8).map { ("label-\($0)", "\($0)") })
        let backwards = Dictionary(uniqueKeysWithValues: (0..<8).reversed().map { ("label-\($0)", "\($0)") })
        let name = PeerName(unchecked: "p")
        #expect(
            try RegionalCodec().encode(.peerEnrolled(name, labels: forwards, endpoint: ""))
                == RegionalCodec().encode(.peerEnrolled(name, labels: backwards, endpoint: "")))
    }

    @Test func framesDecodeWithTheirHeaders() throws {
        var events = ArbitraryEvents(seed: 8)
        let (header, event) = (events.header(), GlobalEvent.queue(.requeued(JobID(rawValue: 3))))
        let encoded = try GlobalCodec().encode(event)
        let frame = Frame(
            header: header, type: encoded.type, schemaRevision: encoded.schemaRevision, payload: encoded.payload)
        #expect(try GlobalCodec().decode(frame) == Envelope(header: header, event: event))
    }

    @Test func unknownEssentialTypesNeedAnUpgrade() {
        for type in [0, 7, 112, 900, 0x7fff] as [UInt16] {
            #expect(code { try GlobalCodec().decode(type: type, schemaRevision: 1, payload: []) } == .upgradeNeeded)
            #expect(code { try RegionalCodec().decode(type: type, schemaRevision: 1, payload: []) } == .upgradeNeeded)
            #expect(eventWeight(type) == .essential)
        }
    }

    @Test func unknownInformativeTypesArePassedOver() throws {
        for type in [0x8000, 0x8004, 0xffff] as [UInt16] {
            #expect(try GlobalCodec().decode(type: type, schemaRevision: 9, payload: [1, 2]) == nil)
            #expect(try RegionalCodec().decode(type: type, schemaRevision: 9, payload: [1, 2]) == nil)
            #expect(eventWeight(type) == .informative)
            #expect(GlobalCodec().typeName(type) == nil)
        }
    }

    @Test func laterRevisionsAreTreatedAsTheirTypesAre() throws {
        let (requeued, refused): (UInt16, UInt16) = (109, 0x8001)
        #expect(code { try GlobalCodec().decode(type: requeued, schemaRevision: 2, payload: []) } == .upgradeNeeded)
        #expect(try GlobalCodec().decode(type: refused, schemaRevision: 2, payload: []) == nil)
        #expect(code { try GlobalCodec().decode(type: requeued, schemaRevision: 0, payload: []) } == .malformed)
    }

    @Test func eventsOfTheOtherLogAreMalformed() throws {
        #expect(code { try GlobalCodec().decode(type: 508, schemaRevision: 1, payload: []) } == .malformed)
        for type in [101, 201, 301, 401] as [UInt16] {
            #expect(code { try RegionalCodec().decode(type: type, schemaRevision: 1, payload: []) } == .malformed)
        }
    }

    @Test func longestPayloadFitsBesideTheLongestHeader() throws {
        let overhead = try GlobalCodec().encode(.queue(.cancelRequested(JobID(rawValue: 1), reason: "x"))).payload.count
        let fitting = String(repeating: "x", count: maximumPayloadBytes - overhead)
        let encoded = try GlobalCodec().encode(.queue(.cancelRequested(JobID(rawValue: 1), reason: fitting)))
        #expect(encoded.payload.count == maximumPayloadBytes)
        var header = plainFrame().header
        header.actor.name = String(repeating: "a", count: maximumNameBytes)
        header.key = String(repeating: "k", count: maximumKeyBytes)
        let frame = Frame(header: header, type: encoded.type, schemaRevision: 1, payload: encoded.payload)
        #expect(try FrameCodec.encode(frame).count < maximumFrameBytes)
        let longer = GlobalEvent.queue(.cancelRequested(JobID(rawValue: 1), reason: fitting + "x"))
        #expect(code { try GlobalCodec().encode(longer) } == .tooLarge)
    }
}

/// The code of the failure that some work ends in; nil when it does not fail.
func code<Value>(_ work: () throws -> Value) -> CodecFailure.Code? {
    do {
        _ = try work()
        return nil
    } catch let failure as CodecFailure {
        return failure.code
    } catch {
        Issue.record(error)
        return nil
    }
}
