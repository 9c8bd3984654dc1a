import Codec
import Domain
import EventLog
import Foundation
import Ports
import Testing

@testable import Commands

/// Changes that the checks of this room must notice.
@Suite struct CanaryTests {
    /// A recorded log's first batches: long enough for several events a batch, short enough for every change.
    private let recorded: [FrameBatch]
    private let original: [UInt8]

    init() throws {
        let log = RecordedLog(scenario: "first-deploy", name: "region-one")
        recorded = Array(try batches(log.bytes()).prefix(4))
        original = recorded.flatMap { NDJSON.lines($0) }
        try #require(recorded.contains { $0.frames.count > 1 })
    }

    /// Nil when a text is taken for the log itself; else what was noticed.
    private func noticed(_ bytes: [UInt8]) -> String? {
        do throws(CodecFailure) {
            let found = try batches(bytes)
            let again = found.flatMap { NDJSON.lines($0) }
            return again == bytes ? nil : "it is written otherwise"
        } catch {
            return error.message
        }
    }

    @Test func theTextItselfIsSound() { #expect(noticed(original) == nil) }

    @Test func everyFlippedByteIsNoticed() {
        for place in original.indices {
            for bit in [0x01, 0x20] as [UInt8] {
                var damaged = original
                damaged[place] ^= bit
                #expect(noticed(damaged) != nil, "byte \(place), bit \(bit)")
            }
        }
    }

    @Test func swappedLinesAreNoticedWithTheirNumber() throws {
        let whole = lines(original)
        for place in whole.indices.dropLast() {
            var damaged = whole
            damaged.swapAt(place, place + 1)
            let complaint = try #require(noticed(text(damaged)), "lines \(place + 1) and \(place + 2)")
            #expect(
                complaint.hasPrefix("line \(place + 1): ") || complaint.hasPrefix("line \(place + 2): "), "\(complaint)"
            )
            #expect(complaint.contains("out of order") || complaint.contains("is missing"), "\(complaint)")
        }
    }

    @Test func aMissingOrDoubledLineIsNoticed() throws {
        let whole = lines(original)
        for place in whole.indices {
            var short = whole
            short.remove(at: place)
            let missing = try #require(noticed(text(short)), "line \(place + 1) left out")
            #expect(missing.contains("missing") || missing.contains("cut off"), "\(missing)")
            var long = whole
            long.insert(whole[place], at: place)
            #expect(noticed(text(long))?.contains("line \(place + 2): ") == true, "line \(place + 1) twice")
        }
    }

    @Test func aMissingBatchLineIsNoticedAtTheNextOne() throws {
        let first = try #require(recorded.first)
        var damaged = lines(original)
        damaged.remove(at: first.frames.count)
        let next = first.frames.count + recorded[1].frames.count + 1
        #expect(
            noticed(text(damaged))
                == "line \(next): the batch up to event \(recorded[1].end.sequence) is not on the chain: a line since "
                + "event 0 was changed, or a batch's end is missing")
    }

    @Test func textsThatAreNoLogAreNoticed() {
        #expect(noticed([]) == "the text holds no batch: it is no log")
        #expect(noticed(Array("\n".utf8))?.hasPrefix("line 1: ") == true)
        let endless = [UInt8](repeating: UInt8(ascii: "["), count: NDJSONBatches.maximumLineBytes + 1)
        #expect(noticed(endless)?.contains("more than") == true)
    }

    /// A decision that would come out otherwise today is noticed, although its log is sound.
    @Test func anotherDecisionIsNoticed() throws {
        let frames = try batches(
            RecordedLog(scenario: "first-deploy", name: RecordedLog.global).bytes()
        ).flatMap(\.frames)
        let codec = GlobalCodec()
        let claim = try #require(frames.firstIndex { (try? isClaim($0, codec)) == true })
        var changed = frames
        changed[claim] = try alteredLease(of: frames[claim], codec)
        var again = DecideAgain<Global>(codec: codec)
        try again.take(changed)
        #expect(again.differences.first?.hasPrefix("command \(frames[claim].header.command): it leads to") == true)
    }

    private func isClaim(_ frame: Frame, _ codec: GlobalCodec) throws -> Bool {
        if case .queue(.claimed)? = try codec.decode(frame)?.event { true } else { false }
    }

    private func alteredLease(of frame: Frame, _ codec: GlobalCodec) throws -> Frame {
        guard case .queue(.claimed(let job, let attempt, let worker, let lease))? = try codec.decode(frame)?.event
        else {
            return frame
        }
        var altered = frame
        altered.payload = try codec.encode(
            .queue(.claimed(job, attempt, worker: worker, leaseSeconds: lease + 1))
        ).payload
        return altered
    }

    /// A row that was not there is noticed.
    @Test func anotherRowIsNoticed() {
        let (found, expected) = (ViewDump(files: ["jobs": "id\n1\n"]), ViewDump(files: ["jobs": "id\n2\n"]))
        #expect(found.differences(from: expected) == ["jobs: found 1, expected 2"])
        #expect(ViewDump().differences(from: expected) == ["jobs is missing"])
    }
}
