import Codec
import Crypto
import Domain
import Testing

@Suite struct BatchChainTests {
    private let frames = (1...4).map { plainFrame(sequence: $0, payload: [UInt8($0), 2, 3]) }

    @Test func theChainNeverChanges() throws {
        let end = try FrameCodec.chain(after: .zero, [plainFrame()])
        #expect(end.hex == "9370d86bc7fe4775063e4beb6b647627e7a3cd48e79bfdd944fb4e105db87338")
    }

    /// The hash as `Schemas/formats.md` tells it, put together by hand.
    @Test func theChainIsTheDocumentedOne() throws {
        let previous = Domain.Digest(words: 1, 2, 3, 4)
        var input = Array("drover batch v1\n".utf8) + previous.bytes
        input.append(littleEndian: UInt64(1))
        input.append(littleEndian: UInt32(4))
        for frame in frames {
            let bytes = try FrameCodec.encode(frame)
            input += bytes.prefix(52 + 3 + 2)
            input += Array(SHA256.hash(data: frame.payload))
        }
        let expected = Domain.Digest(bytes: Array(SHA256.hash(data: input)))
        #expect(try FrameCodec.chain(after: previous, frames) == expected)
    }

    @Test func everyPartIsCovered() throws {
        let plain = try FrameCodec.chain(after: .zero, frames)
        var others: Set<Domain.Digest> = [plain]
        func expectNew(_ digest: Domain.Digest, _ what: Comment) { #expect(others.insert(digest).inserted, what) }
        expectNew(try FrameCodec.chain(after: Domain.Digest(words: 0, 0, 0, 1), frames), "previous")
        let middle = try FrameCodec.chain(after: .zero, Array(frames[..<2]))
        expectNew(try FrameCodec.chain(after: middle, Array(frames[2...])), "batch boundaries")
        expectNew(try FrameCodec.chain(after: .zero, frames.reversed()), "order")
        for index in frames.indices {
            var changed = frames
            changed[index].payload[0] ^= 1
            expectNew(try FrameCodec.chain(after: .zero, changed), "payload \(index)")
            changed = frames
            changed[index].header.actor.name += "x"
            expectNew(try FrameCodec.chain(after: .zero, changed), "actor \(index)")
            changed = frames
            changed[index].header.key = "other"
            expectNew(try FrameCodec.chain(after: .zero, changed), "key \(index)")
            changed = frames
            changed[index].header.time.milliseconds += 1
            expectNew(try FrameCodec.chain(after: .zero, changed), "time \(index)")
        }
    }

    @Test func aRedactedPayloadLeavesTheChainAsItWas() throws {
        let plain = try FrameCodec.chain(after: .zero, frames)
        var chain = BatchChain(after: .zero, first: LogSequence(rawValue: 1), count: frames.count)
        for (index, frame) in frames.enumerated() {
            let bytes = try FrameCodec.encode(frame)
            let stored = index == 2 ? try redacted(bytes) : bytes
            chain.add(stored[...], try FrameLayout(stored.span))
        }
        #expect(chain.end() == plain)
        let stored = try redacted(FrameCodec.encode(frames[0]))
        let failure = #expect(throws: FrameFailure.self) { try FrameCodec.decode(stored) }
        #expect(failure?.code == .redacted)
    }

    /// What a redaction left stands behind the hash, is served, and is not in the chain.
    @Test func aSubstituteIsServedAndLeavesTheChainAsItWas() throws {
        let plain = try FrameCodec.chain(after: .zero, frames)
        var changed = frames
        let payload = frames[1].payload
        changed[1].redaction = Redaction(
            digest: Domain.Digest(bytes: Array(SHA256.hash(data: payload)))!, payloadBytes: UInt16(payload.count))
        for substitute in [[], [9], [UInt8](repeating: 7, count: 100)] as [[UInt8]] {
            changed[1].payload = substitute
            #expect(try FrameCodec.chain(after: .zero, changed) == plain)
            let bytes = try FrameCodec.encode(changed[1])
            #expect(try FrameCodec.decode(bytes) == changed[1])
            let line = NDJSON.line(changed[1])
            #expect(try NDJSON.parse(line) == .event(changed[1]))
            var chain = BatchChain(after: .zero, first: LogSequence(rawValue: 1), count: frames.count)
            for frame in changed {
                let bytes = try FrameCodec.encode(frame)
                chain.add(bytes[...], try FrameLayout(bytes.span))
            }
            #expect(chain.end() == plain)
        }
        changed[1].redaction?.digest = .zero
        #expect(try FrameCodec.chain(after: .zero, changed) != plain)
        changed[1].redaction = Redaction(digest: .zero, payloadBytes: 1)
        #expect(throws: FrameFailure.self) {
            changed[1].payload = [UInt8](repeating: 1, count: maximumFrameBytes - 60)
            _ = try FrameCodec.encode(changed[1])
        }
    }

    /// The stored form of a frame whose payload was taken away: its flag set, its hash in the payload's place.
    private func redacted(_ bytes: [UInt8]) throws -> [UInt8] {
        let layout = try FrameLayout(bytes.span)
        var stored = Array(bytes[..<layout.payloadRange.lowerBound])
        stored[1] |= 2
        stored += Array(SHA256.hash(data: bytes[layout.payloadRange]))
        stored.append(littleEndian: crc32c(stored.span))
        return stored
    }
}
