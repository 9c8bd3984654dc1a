import Codec
import Domain
import EventLog
import Foundation
import LMDB
import Ports
import Testing

/// A log of twelve events in the batches 1...4, 5...6 and 7...12, and what its segments do.
@Suite struct SegmentTests {
    private let scratch: TemporaryDirectory
    private let log: EventLog

    init() throws {
        scratch = try TemporaryDirectory()
        try makeSmallLog(scratch.inside("log"))
        log = try openReader(scratch.inside("log"))
    }

    private var start: LogPosition { .start(of: testIdentity) }

    private func position(_ sequence: UInt64) throws -> LogPosition {
        try #require(try log.position(at: LogSequence(rawValue: sequence)))
    }

    private func segment(after first: UInt64, upTo last: UInt64) throws -> Segment {
        try log.segment(after: position(first), upTo: LogSequence(rawValue: last)).segment
    }

    /// Everything that a segment gives after a position.
    private func read(
        _ bytes: [UInt8], _ name: SegmentName, after position: LogPosition
    ) throws -> (batches: [StoredBatch], end: LogPosition) {
        var batches: [StoredBatch] = []
        let end = try SegmentReader(bytes, name: name).batches(after: position) { batches.append($0) }
        return (batches, end)
    }

    @Test func aSegmentHoldsTheLogsBatches() throws {
        let segment = try segment(after: 0, upTo: 12)
        let (batches, end) = try read(segment.bytes, segment.name, after: start)
        #expect(try end == log.head() && batches == log.readStored(after: start, maximumFrames: 100))
        #expect(try batches.map { try $0.frames() } == log.everything().map(\.frames))
        #expect(batches.map(\.ends.count) == [4, 2, 6])
        #expect(segment.name.first.rawValue == 1 && segment.name.end == end)
    }

    @Test func segmentsFollowOneAnotherIntoAnEqualLog() throws {
        let copy = try createLog(scratch.inside("copy"))
        for (first, last) in [(0, 4), (4, 6), (6, 12)] as [(UInt64, UInt64)] {
            let segment = try segment(after: first, upTo: last)
            var batches: [StoredBatch] = []
            let before = try copy.head()
            let end = try SegmentReader(segment.bytes, name: segment.name).batches(after: before) { batches.append($0) }
            #expect(try copy.append(stored: batches) == end)
        }
        #expect(try copy.head() == log.head() && copy.everything() == log.everything())
        #expect(try copy.verify() == log.verify())
        // What does not follow is not taken.
        let again = try read(segment(after: 0, upTo: 4).bytes, segment(after: 0, upTo: 4).name, after: start)
        #expect { try copy.append(stored: again.batches) } throws: { ($0 as? StoreFailure)?.code == "out-of-order" }
        #expect { try log.append(stored: again.batches) } throws: { ($0 as? StoreFailure)?.code == "locked" }
    }

    @Test func theSameEventsAreTheSameBytes() throws {
        #expect(try segment(after: 4, upTo: 12) == segment(after: 4, upTo: 12))
    }

    @Test func aFullSegmentEndsBeforeTheBatchThatDoesNotFit() throws {
        let whole = try segment(after: 0, upTo: 12).contentBytes
        func cut(_ limit: UInt64) throws -> (last: UInt64, isSealed: Bool) {
            let (segment, isSealed) = try log.segment(
                after: start, upTo: LogSequence(rawValue: 12), maximumContentBytes: Int(limit))
            return (segment.name.last.rawValue, isSealed)
        }
        #expect(try cut(whole) == (12, false))
        #expect(try cut(whole - 1) == (6, true))
        // A batch that is larger than any segment still gets one.
        #expect(try cut(1) == (4, true))
    }

    @Test func aRangeThatEndsNoBatchIsRefused() throws {
        #expect(throws: StoreFailure.self) { try log.segment(after: start, upTo: LogSequence(rawValue: 5)) }
        #expect(throws: StoreFailure.self) { try log.segment(after: start, upTo: LogSequence(rawValue: 13)) }
        var inside = try position(6)
        inside.sequence = LogSequence(rawValue: 5)
        #expect(throws: StoreFailure.self) { try log.readStored(after: inside, maximumFrames: 10) }
    }

    @Test func everyFlippedBitIsRefused() throws {
        let segment = try segment(after: 0, upTo: 6)
        for index in segment.bytes.indices {
            var damaged = segment.bytes
            damaged[index] ^= 1 << (index % 8)
            #expect { try read(damaged, segment.name, after: start) } throws: {
                ($0 as? StoreFailure)?.outcome == .damaged
            }
        }
        #expect(try read(segment.bytes, segment.name, after: start).end.sequence.rawValue == 6)
    }

    @Test func everyTruncationIsRefused() throws {
        let segment = try segment(after: 0, upTo: 6)
        for count in 0..<segment.bytes.count {
            #expect(throws: StoreFailure.self) {
                try read(Array(segment.bytes.prefix(count)), segment.name, after: start)
            }
        }
        #expect(throws: StoreFailure.self) { try read(segment.bytes + [0], segment.name, after: start) }
    }

    /// A whole, sound segment in the wrong place: under another's name, before its predecessor, of another log.
    @Test func aMisplacedSegmentIsNamed() throws {
        let (first, second) = (try segment(after: 0, upTo: 6), try segment(after: 6, upTo: 12))
        #expect { try read(second.bytes, first.name, after: start) } throws: {
            ($0 as? StoreFailure)?.message.contains("\(second.name)") == true
        }
        #expect { try read(second.bytes, second.name, after: start) } throws: {
            ($0 as? StoreFailure)?.message.contains("\(second.name)") == true
        }
        let foreign = LogPosition.start(of: LogIdentity(high: 9, low: 9))
        #expect(throws: StoreFailure.self) { try read(first.bytes, first.name, after: foreign) }
        var other = try position(6)
        other.chain = .zero
        #expect(throws: StoreFailure.self) { try read(second.bytes, second.name, after: other) }
    }

    /// A footer and a checksum that were made again over frames that were changed: the chain tells.
    @Test func aForgedSegmentBreaksTheChain() throws {
        let other = try createLog(scratch.inside("other"))
        _ = try other.append(testFrames(1...4, bytes: 61))
        let honest = try segment(after: 0, upTo: 4)
        let forged = try other.segment(after: start, upTo: LogSequence(rawValue: 4)).segment
        var bytes = Array(forged.bytes.dropLast(SegmentFooter.bytes))
        var footer = Array(honest.bytes.suffix(SegmentFooter.bytes).dropLast(4))
        // Of the honest one all but the lengths.
        footer.replaceSubrange(104..<124, with: forged.bytes.suffix(24).prefix(20))
        bytes += footer
        bytes.append(littleEndian: crc32c(bytes.span))
        #expect { try read(bytes, honest.name, after: start) } throws: {
            ($0 as? StoreFailure)?.outcome == .damaged
        }
    }

    @Test func redactedFramesKeepTheirPlace() throws {
        try redact(4)
        let redacted = try openReader(scratch.inside("log"))
        let segment = try redacted.segment(after: start, upTo: LogSequence(rawValue: 12)).segment
        let (batches, end) = try read(segment.bytes, segment.name, after: start)
        #expect(try end == log.head())
        #expect(
            try batches.flatMap { try $0.frames() } == testFrames(1...12).filter { $0.header.sequence.rawValue != 4 })
        let copy = try createLog(scratch.inside("copy"))
        #expect(try copy.append(stored: batches) == end && copy.verify().isSound)
    }

    /// Puts the payload's hash in its place, as `Schemas/formats.md` says.
    private func redact(_ sequence: UInt64) throws {
        let frame = testFrame(sequence)
        var bytes = try FrameCodec.encode(frame)
        let layout = try FrameLayout(bytes.span)
        let hash = StateCodec.hash(frame.payload)
        bytes.replaceSubrange(layout.payloadRange.lowerBound..., with: hash.bytes)
        bytes[1] |= 2
        bytes.append(littleEndian: crc32c(bytes.span))
        try rewrite(scratch.inside("log")) { transaction in
            try transaction.put(eventRows, key: sequenceKey(sequence).span, value: bytes.span, appending: false)
        }
    }

    @Test func namesAreReadAsTheyAreWritten() throws {
        let name = try segment(after: 4, upTo: 12).name
        let text = "\(name)"
        #expect(SegmentName(text) == name)
        #expect(text.utf8.count <= 255)
        for wrong in [
            text.uppercased(), String(text.dropLast()), text.replacing("-0000", with: "-000"), "x" + text, "",
            text.replacing(".segment", with: "-1.segment"),
        ] { #expect(SegmentName(wrong) == nil, "\(wrong)") }
        let early = SegmentName(first: LogSequence(rawValue: 9), end: name.end)
        let late = SegmentName(first: LogSequence(rawValue: 10), end: name.end)
        #expect("\(early)" < "\(late)")
    }
}
