import Codec
import Crypto
import Domain
import EventLog
import Foundation
import Glibc
import LMDB
import Ports
import Testing

@Suite struct DamageTests {
    private let directory: TemporaryDirectory
    private let file: URL

    init() throws {
        directory = try TemporaryDirectory()
        file = URL(fileURLWithPath: directory.inside("data.mdb"))
        try makeSmallLog(directory.path)
    }

    /// Every bit of every stored value: all three databases, found by their bytes in the file.
    @Test func everyFlippedBitOfAValueIsFound() throws {
        let whole = try Data(contentsOf: file)
        var values = try testFrames(1...12).map { try FrameCodec.encode($0) }
        let log = try openReader(directory.path)
        values += try log.everything().map { Array($0.end.chain.bytes) }
        values.append(checkedMeta("identity", sequenceKey(testIdentity.high) + sequenceKey(testIdentity.low)))
        values.append(checkedMeta("format", [1, 0, 0, 0]))
        for value in values {
            let places = occurrences(of: value, in: whole)
            #expect(!places.isEmpty)
            for bit in stride(from: 0, to: value.count * 8, by: 7) {
                var damaged = whole
                for place in places { damaged[place + bit / 8] ^= 1 << UInt8(bit % 8) }
                let copy = directory.inside("copy")
                try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
                try damaged.write(to: URL(fileURLWithPath: copy + "/data.mdb"))
                #expect(inspect(copy) == .refused, "bit \(bit) of \(value.count * 8)")
                try FileManager.default.removeItem(atPath: copy)
            }
        }
        #expect(inspect(directory.path) == .sound)
    }

    private func occurrences(of value: [UInt8], in data: Data) -> [Int] {
        var places: [Int] = []
        var from = data.startIndex
        while let range = data.range(of: Data(value), in: from..<data.endIndex) {
            places.append(range.lowerBound)
            from = range.lowerBound + 1
        }
        return places
    }

    /// Any bit of the file. LMDB itself may crash or hang on some, so a child looks at one after the other, noting each
    /// before and after; one that it did not survive was found too, and the next child goes on behind it.
    @Test func anyFlippedBitOfTheFileIsFoundOrHarmless() async throws {
        let seed: UInt64 = 0xF11B
        var numbers = SeededNumbers(seed: seed)
        let whole = try Data(contentsOf: file)
        let work = directory.inside("flips")
        let count = 250
        for index in 0..<count {
            let bit = Int.random(in: 0..<whole.count * 8, using: &numbers)
            var damaged = whole
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            try FileManager.default.createDirectory(atPath: "\(work)/\(index)", withIntermediateDirectories: true)
            try damaged.write(to: URL(fileURLWithPath: "\(work)/\(index)/data.mdb"))
        }
        while try ChildNotes.begun(work) < count {
            await #expect(processExitsWith: .success) { [work = work as String, count = count as Int] in
                for number in [SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM] {
                    signal(number) { _ in _exit(0) }
                }
                for index in try ChildNotes.begun(work)..<count {
                    try ChildNotes.add("begin", to: work)
                    alarm(10)
                    try ChildNotes.add("\(inspect("\(work)/\(index)"))", to: work)
                }
            }
        }
        let verdicts = try ChildNotes.read(work).filter { $0 != "begin" }
        let wrong = verdicts.filter { $0 != "\(Served.sound)" && $0 != "\(Served.refused)" }
        #expect(wrong == [], "seed \(seed)")
        #expect(verdicts.count > count / 2)
        #expect(verdicts.contains("\(Served.refused)"), "seed \(seed)")
    }

    @Test func aFileThatWasCutIsRefused() throws {
        let size = try Data(contentsOf: file).count
        for kept in [size - 1, size - 4_096, 8_192, 100] {
            try FileHandle(forWritingTo: file).truncate(atOffset: UInt64(kept))
            let failure = #expect(throws: StoreFailure.self) { try openReader(directory.path) }
            #expect(failure?.outcome == .damaged || failure?.code == "not-a-log")
        }
    }

    private func damaged(_ change: () throws -> Void) throws -> VerifyReport.Damage? {
        try change()
        return try openReader(directory.path).verify().damage
    }

    /// A sound frame under another's key.
    @Test func aFrameInAnothersPlaceIsFound() throws {
        let damage = try damaged {
            try rewrite(directory.path) { transaction in
                let frame = try FrameCodec.encode(testFrame(3))
                try transaction.put(eventRows, key: sequenceKey(6).span, value: frame.span, appending: false)
            }
        }
        #expect(damage?.afterSequence == LogSequence(rawValue: 4))
        let failure = #expect(throws: StoreFailure.self) { try openReader(directory.path).everything() }
        #expect(failure?.code == "damaged")
        #expect(failure?.outcome == .damaged)
        #expect(failure?.message.contains("after sequence 5") == true)
    }

    /// Another payload with a sound checksum: only the chain tells. The canary of a check that skips the chain.
    @Test func aForgedFrameBreaksTheChain() throws {
        let damage = try damaged {
            try rewrite(directory.path) { transaction in
                let frame = try FrameCodec.encode(testFrame(8, bytes: 61))
                try transaction.put(eventRows, key: sequenceKey(8).span, value: frame.span, appending: false)
            }
        }
        #expect(damage?.afterSequence == LogSequence(rawValue: 6))
        #expect(damage?.message.contains("chain") == true)
    }

    @Test func aForgedRowBreaksTheChain() throws {
        let damage = try damaged { try putRow(first: 5, last: 6, epoch: 1, chain: .zero) }
        #expect(damage?.afterSequence == LogSequence(rawValue: 4))
    }

    @Test func rowsThatOverlapAreFound() throws {
        let end = try openReader(directory.path).head()
        let damage = try damaged { try putRow(first: 6, last: 12, epoch: 1, chain: end.chain) }
        #expect(damage?.afterSequence == LogSequence(rawValue: 6))
    }

    @Test func anEventBehindTheBatchesIsFound() throws {
        try rewrite(directory.path) { transaction in
            let frame = try FrameCodec.encode(testFrame(13))
            try transaction.put(eventRows, key: sequenceKey(13).span, value: frame.span, appending: true)
        }
        #expect(inspect(directory.path) == .refused)
        #expect(throws: StoreFailure.self) { try openReader(directory.path) }
    }

    @Test func aBatchWithoutEventsIsFound() throws {
        try putRow(first: 13, last: 13, epoch: 1, chain: .zero)
        let failure = #expect(throws: StoreFailure.self) { try openReader(directory.path) }
        #expect(failure?.code == "damaged")
    }

    @Test func aFurtherMetaRowIsFound() throws {
        let damage = try damaged {
            try rewrite(directory.path) { transaction in
                try transaction.put(
                    metaRows, key: Array("zzz".utf8).span, value: checkedMeta("zzz", [1]).span, appending: false)
            }
        }
        #expect(damage?.afterSequence == .zero)
    }

    private func putEvent(_ sequence: UInt64, _ bytes: [UInt8]) throws {
        var value = bytes
        value.append(littleEndian: crc32c(bytes.span))
        try rewrite(directory.path) { transaction in
            try transaction.put(eventRows, key: sequenceKey(sequence).span, value: value.span, appending: false)
        }
    }

    @Test func aFrameOfTheFutureIsNotDamage() throws {
        var bytes = Array(try FrameCodec.encode(testFrame(5)).dropLast(4))
        bytes[0] = 2
        try putEvent(5, bytes)
        let log = try openReader(directory.path)
        for look in [{ _ = try log.verify() }, { _ = try log.everything() }] {
            let failure = #expect(throws: StoreFailure.self) { try look() }
            #expect(failure?.code == "wrong-version")
        }
    }

    /// The payload is gone, the order is still proved.
    @Test func aRedactedFrameKeepsTheLogSound() throws {
        let frame = testFrame(5)
        var bytes = Array(try FrameCodec.encode(frame).dropLast(4 + frame.payload.count))
        bytes[1] |= 2
        bytes += Array(SHA256.hash(data: frame.payload))
        try putEvent(5, bytes)
        let log = try openReader(directory.path)
        #expect(try log.verify().isSound)
        #expect(try log.read(after: .zero, maximumFrames: 1).first?.frames == testFrames(1...4))
        let failure = #expect(throws: StoreFailure.self) {
            try log.read(after: LogSequence(rawValue: 4), maximumFrames: 1)
        }
        #expect(failure?.code == "redacted")
        bytes[bytes.count - 1] ^= 1
        try putEvent(5, bytes)
        #expect(try log.verify().damage?.afterSequence == LogSequence(rawValue: 4))
    }

    /// A row of `batches`, put together from its description in `Schemas/formats.md`.
    private func putRow(first: UInt64, last: UInt64, epoch: UInt64, chain: Domain.Digest) throws {
        var value: [UInt8] = []
        value.append(littleEndian: first)
        value.append(littleEndian: epoch)
        value += chain.bytes
        value.append(littleEndian: UInt32(last - first + 1))
        value.append(littleEndian: crc32c((sequenceKey(last) + value).span))
        try rewrite(directory.path) { transaction in
            try transaction.put(batchRows, key: sequenceKey(last).span, value: value.span, appending: false)
        }
    }
}

/// What a child that may crash has seen, line by line.
enum ChildNotes {
    static func read(_ directory: String) throws -> [String] {
        guard FileManager.default.fileExists(atPath: directory + "/notes") else { return [] }
        let text = try String(contentsOfFile: directory + "/notes", encoding: .utf8)
        return text.split(separator: "\n").map(String.init)
    }

    /// The file, made if it is missing.
    static func file(_ directory: String) throws -> URL {
        let file = URL(fileURLWithPath: directory + "/notes")
        if !FileManager.default.fileExists(atPath: file.path) { try Data().write(to: file) }
        return file
    }

    static func begun(_ directory: String) throws -> Int { try read(directory).count { $0 == "begin" } }

    static func add(_ line: String, to directory: String) throws {
        let handle = try FileHandle(forWritingTo: file(directory))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data((line + "\n").utf8))
        try handle.close()
    }
}
