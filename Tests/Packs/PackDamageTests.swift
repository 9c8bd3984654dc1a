import Domain
import Foundation
import Testing

@testable import Packs

struct PackDamageTests {
    private func unpack(_ reader: PackReader, _ path: String) -> PackFailure.Code? {
        failureCode { () throws(PackFailure) in try reader.unpack(to: path) }
    }

    /// A flipped bit anywhere is found by its piece; unpacking refuses it, or (a bit that zstd does not use) gives the
    /// very same raw bytes. Never anything else, and nothing is left behind.
    @Test func everyFlippedByteIsFound() throws {
        let seed = propertySeed("everyFlippedByteIsFound")
        var generator = SeededGenerator(seed: seed)
        let packed = try PackedFile(generator.mixture(200_000), settings: settings(segmentBytes: 50_000))
        let (workshop, good) = (packed.workshop, try packed.workshop.read("pack"))
        let headers = packed.manifest.segments.flatMap { Int($0.offset)..<Int($0.offset) + 16 }
        let random = (0..<60).map { _ in Int.random(in: 0..<good.count, using: &generator) }
        for place in headers + random {
            var bad = good
            bad[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            try workshop.write(bad, "pack")
            let reader = try packed.reader()
            let piece = place / Int(packed.manifest.pieceLength)
            let note = "seed \(seed), byte \(place)"
            #expect(failureCode { () throws(PackFailure) in try reader.verifyPacked() } == .damaged, "\(note)")
            #expect(failureCode { () throws(PackFailure) in _ = try reader.readPiece(piece) } == .damaged, "\(note)")
            switch unpack(reader, workshop.file("out")) {
            case .damaged: #expect(!workshop.names.contains("out"), "\(note)")
            case nil:
                #expect(try workshop.read("out") == packed.raw, "\(note)")
                try FileManager.default.removeItem(atPath: workshop.file("out"))
            case let other: Issue.record("\(note): \(String(describing: other))")
            }
            #expect(workshop.names == ["pack", "raw"], "\(note)")
        }
    }

    @Test func aPackOfAnotherLengthIsRefused() throws {
        var generator = SeededGenerator(seed: 21)
        let packed = try PackedFile(generator.mixture(100_000), settings: settings(segmentBytes: 40_000))
        let good = try packed.workshop.read("pack")
        for bad in [good + [0], good + good, Array(good.dropLast()), Array(good.prefix(1)), []] {
            try packed.workshop.write(bad, "pack")
            let reader = try packed.reader()
            #expect(failureCode { () throws(PackFailure) in try reader.verifyPacked() } == .damaged)
            #expect(unpack(reader, packed.workshop.file("out")) == .damaged)
        }
        #expect(packed.workshop.names == ["pack", "raw"])
    }

    @Test func aPieceThatDoesNotExistIsRefused() throws {
        let packed = try PackedFile([1, 2, 3], settings: PackSettings())
        let reader = try packed.reader()
        for index in [-1, 1, Int.max, Int.min] {
            #expect(failureCode { () throws(PackFailure) in _ = try reader.readPiece(index) } == .damaged)
            #expect(!packed.manifest.isPiece([1, 2, 3], index))
        }
    }

    /// Manifests that fit their packed bytes, from a hostile packer: each frame must be one, whole and of the length
    /// and digest it claims.
    @Test func framesThatBreakTheirRowAreRefused() throws {
        let raw = [UInt8](repeating: 5, count: 30_000)
        let one = try PackedFile(raw, settings: PackSettings())
        let frame = try one.workshop.read("pack")
        let half = try PackedFile(Array(raw.prefix(15_000)), settings: PackSettings()).workshop.read("pack")
        let digest = ContentHasher.digest(raw)
        let cases: [(String, [UInt8], Digest, Bool)] = [
            ("itself", frame, digest, true),
            ("two frames", half + half, digest, false),
            ("a byte after the frame", frame + [0], digest, false),
            ("an empty skippable frame after it", frame + [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], digest, false),
            ("half a frame", Array(frame.dropLast(5)), digest, false),
            ("too few bytes", half, digest, false),
            ("another digest", frame, .zero, false),
            ("no frame", [1, 2, 3, 4, 5, 6], digest, false),
        ]
        for (name, bytes, rawDigest, isGood) in cases {
            let workshop = try Workshop()
            let manifest = try fittingManifest(one.manifest.facts, bytes, rawDigest)
            let reader = try PackReader(path: workshop.write(bytes, "pack"), manifest: manifest)
            try reader.verifyPacked()
            #expect(unpack(reader, workshop.file("out")) == (isGood ? nil : .damaged), "\(name)")
            #expect(workshop.names == (isGood ? ["out", "pack"] : ["pack"]), "\(name)")
        }
    }

    private func fittingManifest(_ facts: PackFacts, _ bytes: [UInt8], _ digest: Digest) throws -> Manifest {
        var (writer, hasher) = (try ManifestWriter(facts, limits: PackLimits()), MerkleHasher(pieceLength: 64 << 10))
        hasher.update(bytes)
        writer.append(
            PackSegment(rawLength: facts.rawLength, rawDigest: digest, packedLength: UInt64(bytes.count), offset: 0),
            pieces: [])
        return try writer.finish(hasher.finalize(), sampleRequest().provenance, limits: PackLimits())
    }

    @Test func aFrameLargerThanItsRowStopsAtTheRow() throws {
        let bomb = try PackedFile([UInt8](repeating: 0, count: 50 << 20), settings: PackSettings())
        var facts = bomb.manifest.facts
        facts.rawLength = 1000
        let manifest = try fittingManifest(facts, bomb.workshop.read("pack").prefix(1200).map { $0 }, .zero)
        try bomb.workshop.write(Array(bomb.workshop.read("pack").prefix(1200)), "pack")
        let reader = try PackReader(path: bomb.workshop.file("pack"), manifest: manifest)
        #expect(unpack(reader, bomb.workshop.file("out")) == .damaged)
    }

    @Test func aCancelledUnpackLeavesNothing() throws {
        let packed = try PackedFile([UInt8](repeating: 5, count: 30_000), settings: settings(segmentBytes: 1024))
        let reader = try packed.reader()
        var asked = 0
        let code = failureCode { () throws(PackFailure) in
            try reader.unpack(
                to: packed.workshop.file("out"),
                isCancelled: {
                    asked += 1
                    return asked == 3
                })
        }
        #expect(code == .cancelled)
        #expect(packed.workshop.names == ["pack", "raw"])
    }

    /// A killed process cannot clean up: the next one writes over what it left, and nothing piles up.
    @Test func whatAKilledUnpackLeftIsWrittenOver() throws {
        let packed = try PackedFile([UInt8](repeating: 5, count: 30_000), settings: settings(segmentBytes: 1024))
        let target = packed.workshop.file("out")
        #expect(PackReader.temporaryPath(of: target) == target + ".unpacking")
        try packed.workshop.write([UInt8](repeating: 1, count: 50_000), "out.unpacking")
        try packed.reader().unpack(to: target)
        #expect(try packed.workshop.read("out") == packed.raw)
        #expect(packed.workshop.names == ["out", "pack", "raw"])
    }
}
