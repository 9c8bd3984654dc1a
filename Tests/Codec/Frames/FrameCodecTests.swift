import Codec
import Domain
import Testing

@Suite struct FrameCodecTests {
    @Test func anyFrameRoundTrips() throws {
        let seed: UInt64 = 0xD0_0E
        var numbers = SeededNumbers(seed: seed)
        for round in 0..<2_000 {
            let frame = randomFrame(&numbers)
            let bytes = try FrameCodec.encode(frame)
            #expect(try FrameCodec.decode(bytes) == frame, "seed \(seed), round \(round)")
        }
    }

    @Test func theBytesNeverChange() throws {
        let bytes = try FrameCodec.encode(plainFrame())
        let fields = [
            "01", "05", "0102", "0400", "01", "03", "0200000000000000", "0700000000000000", "7b68e5cf8b010000",
            "0600000000000000", "0500000000000000", "0300", "02", "00", hexadecimal(Array("ada".utf8)),
            hexadecimal(Array("k1".utf8)), "010203",
        ]
        #expect(hexadecimal(bytes.dropLast(4)) == fields.joined())
        #expect(hexadecimal(bytes.suffix(4)) == "3bd82c7b")
    }

    @Test func checksumIsTheKnownOne() {
        #expect(crc32c(Array("123456789".utf8).span) == 0xE306_9283)
        #expect(crc32c([UInt8](repeating: 0, count: 32).span) == 0x8A91_36AA)
    }

    /// The canary of the checksum: a decoder that skips it would serve most of these.
    @Test func everyFlippedBitIsRefused() throws {
        let bytes = try FrameCodec.encode(plainFrame(payload: Array(0..<40)))
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FrameFailure.self, "bit \(bit)") { try FrameCodec.decode(damaged) }
        }
    }

    @Test func everyOtherLengthIsRefused() throws {
        let bytes = try FrameCodec.encode(plainFrame())
        for count in 0..<bytes.count {
            #expect(throws: FrameFailure.self) { try FrameCodec.decode(Array(bytes.prefix(count))) }
        }
        #expect(throws: FrameFailure.self) { try FrameCodec.decode(bytes + [0]) }
        #expect(throws: FrameFailure.self) { try FrameCodec.decode([UInt8](repeating: 0, count: 5_000)) }
    }

    /// With a sound checksum every combination of lengths, flags and text must still end in a frame or a failure.
    @Test func anyBytesUnderASoundChecksumEnd() {
        let seed: UInt64 = 0xB17E5
        var numbers = SeededNumbers(seed: seed)
        var codes: Set<FrameFailure.Code> = []
        var served = 0
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 52...140, using: &numbers)).map { _ in
                UInt8.random(in: 0...255, using: &numbers)
            }
            bytes[0] = 1
            bytes[1] &= 15
            bytes[6] %= 6
            bytes[7] %= 8
            bytes[51] = 0
            bytes[50] %= 8
            let payload = bytes.count - 52 - Int(bytes[7]) - Int(bytes[50])
            (bytes[48], bytes[49]) = (UInt8(truncatingIfNeeded: payload), 0)
            bytes.append(littleEndian: crc32c(bytes.span))
            do throws(FrameFailure) {
                let frame = try FrameCodec.decode(bytes)
                // What is served is what these very bytes say.
                #expect((try? FrameCodec.encode(frame)) == bytes)
                served += 1
            } catch {
                codes.insert(error.code)
            }
        }
        #expect(served > 100, "seed \(seed)")
        #expect(codes.isSuperset(of: [.length, .text, .redacted]), "seed \(seed)")
    }

    @Test func limitsAreRefusedOnTheWayIn() throws {
        let room = maximumFrameBytes - FrameLayout.headerBytes - FrameLayout.checksumBytes - 5
        #expect(try FrameCodec.encode(plainFrame(payload: .init(repeating: 1, count: room - 1))).count == 1899)
        var tooLong = plainFrame(payload: .init(repeating: 1, count: room))
        #expect(throws: FrameFailure.self) { try FrameCodec.encode(tooLong) }
        tooLong = plainFrame()
        tooLong.header.actor.name = String(repeating: "a", count: maximumNameBytes + 1)
        #expect(throws: FrameFailure.self) { try FrameCodec.encode(tooLong) }
        tooLong = plainFrame()
        tooLong.header.key = String(repeating: "k", count: maximumKeyBytes + 1)
        var buffer: [UInt8] = [9]
        #expect(throws: FrameFailure.self) { try FrameCodec.append(tooLong, to: &buffer) }
        #expect(buffer == [9])
    }

    @Test func anEmptyKeyIsNotNoKey() throws {
        var frame = plainFrame()
        frame.header.key = ""
        #expect(try FrameCodec.decode(FrameCodec.encode(frame)).header.key == "")
        frame.header.key = nil
        #expect(try FrameCodec.decode(FrameCodec.encode(frame)).header.key == nil)
    }

    @Test func formatsOfTheFutureAreNamed() throws {
        for (offset, value) in [(0, UInt8(2)), (1, 0x80), (6, 17), (51, 1)] {
            var bytes = Array(try FrameCodec.encode(plainFrame()).dropLast(4))
            bytes[offset] = value
            bytes.append(littleEndian: crc32c(bytes.span))
            let failure = #expect(throws: FrameFailure.self) { try FrameCodec.decode(bytes) }
            #expect(failure?.code == .unknownFormat)
        }
    }
}
