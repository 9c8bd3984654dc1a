import CZstd
import Codec
import Crypto
import Domain
import EventLog
import Foundation
import Ports
import Testing

/// The golden segment, read by nothing but what `Schemas/formats.md` says of its bytes.
@Suite struct SegmentDocumentTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "seeds/golden/1/global")
    /// Golden files are never written again.
    private static let digest = "e7538edccc523aac0d2e5fc6e4ab843a27fc85a459401b3d01f9ccfc77e66d90"

    private func golden() throws -> (name: String, bytes: [UInt8]) {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let name = try #require(names.first { $0.hasSuffix(".segment") })
        return (name, [UInt8](try Data(contentsOf: Self.folder.appending(path: name))))
    }

    private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func unpacked(_ frame: ArraySlice<UInt8>, count: Int) -> [UInt8] {
        var content = [UInt8](repeating: 0, count: count + 1)
        let packed = Array(frame)
        let size = unsafe content.withUnsafeMutableBytes { output in
            unsafe packed.withUnsafeBytes { input in
                unsafe ZSTD_decompress(output.baseAddress, output.count, input.baseAddress, input.count)
            }
        }
        #expect(size == count)
        return Array(content.prefix(count))
    }

    @Test func nobodyHasWrittenItAnew() throws {
        #expect(try StateCodec.hash(golden().bytes).hex == Self.digest)
    }

    @Test func theDocumentReadsIt() throws {
        let (name, bytes) = try golden()
        let parts = name.split(separator: "-")
        #expect(Array(bytes.prefix(8)) == Array("DRVSEG1\n".utf8))
        let z = Int(number(bytes[(bytes.count - 16)..<(bytes.count - 8)]))
        #expect(z == bytes.count - 136)
        #expect(hexadecimal(bytes[(8 + z)..<(24 + z)]) == String(parts[0]))
        let (first, last) = (number(bytes[(24 + z)..<(32 + z)]), number(bytes[(32 + z)..<(40 + z)]))
        #expect(
            first == UInt64(parts[1]) && last == UInt64(parts[2])
                && number(bytes[(40 + z)..<(48 + z)]) == UInt64(parts[3]))
        #expect(Array(bytes[(48 + z)..<(80 + z)]) == [UInt8](repeating: 0, count: 32))
        #expect(hexadecimal(bytes[(80 + z)..<(112 + z)]) + ".segment" == String(parts[4]))
        #expect(number(bytes[(132 + z)...]) == UInt64(crc32c(bytes.span.extracting(0..<(132 + z)))))
        let content = unpacked(bytes[8..<(8 + z)], count: Int(number(bytes[(112 + z)..<(120 + z)])))
        let (batches, events, chain) = walk(content, first: first)
        #expect(UInt64(batches) == number(bytes[(128 + z)..<(132 + z)]) && UInt64(events) == last - first + 1)
        #expect(chain == Array(bytes[(80 + z)..<(112 + z)]))
    }

    /// The chain over the batches of a content, as the document has it.
    private func walk(_ content: [UInt8], first: UInt64) -> (batches: Int, events: Int, chain: [UInt8]) {
        var (offset, batches, events, chain) = (0, 0, 0, [UInt8](repeating: 0, count: 32))
        while offset < content.count {
            let count = Int(number(content[offset..<(offset + 4)]))
            var hasher = SHA256()
            hasher.update(data: Array("drover batch v1\n".utf8) + chain)
            hasher.update(data: (0..<8).map { UInt8(truncatingIfNeeded: (first + UInt64(events)) >> (8 * $0)) })
            hasher.update(data: content[offset..<(offset + 4)])
            offset += 4
            for _ in 0..<count {
                let size = Int(number(content[offset..<(offset + 2)]))
                let frame = Array(content[(offset + 2)..<(offset + 2 + size)])
                let payload = 52 + Int(frame[7]) + Int(frame[50])
                hasher.update(data: frame[..<payload])
                hasher.update(data: Array(SHA256.hash(data: frame[payload..<(size - 4)])))
                offset += 2 + size
            }
            (chain, batches, events) = (Array(hasher.finalize()), batches + 1, events + count)
        }
        return (batches, events, chain)
    }

    /// The product's own reader and writer agree with it.
    @Test func itIsTheGoldenLog() throws {
        let scratch = try TemporaryDirectory()
        let data = try Data(contentsOf: Self.folder.appending(path: "data.mdb"))
        try data.write(to: URL(filePath: scratch.inside("data.mdb")))
        let log = try openReader(scratch.path)
        let (text, bytes) = try golden()
        let name = try #require(SegmentName(text))
        var batches: [StoredBatch] = []
        let end = try SegmentReader(bytes, name: name).batches(after: .start(of: log.identity)) { batches.append($0) }
        #expect(try end == log.head())
        #expect(try batches == log.readStored(after: .start(of: log.identity), maximumFrames: .max))
        let made = try log.segment(after: .start(of: log.identity), upTo: end.sequence)
        #expect(made.segment.name == name && !made.isSealed)
    }
}
