import Domain
import Foundation
import Testing

@testable import Packs

struct ManifestTests {
    private func sample() throws -> PackedFile {
        var generator = SeededGenerator(seed: 11)
        return try PackedFile(generator.mixture(400_000), settings: settings(segmentBytes: 60_000))
    }

    private func decodeCode(_ bytes: [UInt8]) -> PackFailure.Code? {
        failureCode { () throws(PackFailure) in _ = try Manifest.decode(bytes) }
    }

    /// The bytes of format 1 do not change: a manifest written by an old version must verify for ever.
    @Test func theBytesOfFormatOneStay() throws {
        let raw = Array("#!/bin/sh\nexec true\n".utf8)
        let facts = PackFacts(
            app: try #require(AppName(rawValue: "web")), build: BuildID(rawValue: 42), attempt: .first,
            commit: String(repeating: "a1", count: 20), repository: "https://example.org/web.git",
            rawLength: UInt64(raw.count), segmentLength: 64 << 20, pieceLength: 64 << 10, zstdVersion: "1.5.4",
            zstdLevel: 1, run: sampleRun)
        var (writer, hasher) = (try ManifestWriter(facts, limits: PackLimits()), MerkleHasher(pieceLength: 64 << 10))
        hasher.update(raw)
        writer.append(
            PackSegment(
                rawLength: UInt64(raw.count), rawDigest: ContentHasher.digest(raw), packedLength: UInt64(raw.count),
                offset: 0), pieces: [])
        let manifest = try writer.finish(hasher.finalize(), sampleRequest().provenance, limits: PackLimits())
        let expected = #"""
            {"app":"web","attempt":1,"build":42,"commit":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","format":1,"kind":"pack","piece_length":65536,"raw_length":20,"repository":"https://example.org/web.git","run":{"arguments":["--port","80/\"x\""],"environment":["A=é\n/=","A_B=","B=2"],"grace_seconds":5,"health":{"kind":"http","path":"/healthz","port":8080,"within_seconds":30},"stop_signal":"INT"},"segment_length":67108864,"zstd_level":1,"zstd_version":"1.5.4"}
            {"digest":"a277a3500d80d93c6b28ecbb66d1bfb3c80d65e8c8bd907075df0e903232a7ff","kind":"segment","offset":0,"packed":20,"raw":20}
            {"hashes":"a277a3500d80d93c6b28ecbb66d1bfb3c80d65e8c8bd907075df0e903232a7ff","kind":"pieces"}
            {"build_command":"make release","built_at":1700000000000,"kind":"end","packed_length":20,"raw_digest":"1ab7da6fe536cee208429b9db190536add7b559c02d347680b912ee4174f4ab1","recipe":"039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81","region":"eu","root":"a277a3500d80d93c6b28ecbb66d1bfb3c80d65e8c8bd907075df0e903232a7ff","worker":"w1"}
            {"ed25519":"e10839927f862b25a1d4f0df8b539721bc29453e456a728f3c5f9df76724612baa61fc3f3750429395caa77e6aee80b6bf9e64302c9ba7f88e7f69a1003c700d","key":"fe812c12f3ab4ce6","kind":"signature"}
            """#
        let text = String(decoding: try Manifest.sign(manifest.unsignedBytes, signer: TestSigner()), as: UTF8.self)
        #expect(text == expected + "\n")
    }

    @Test func aSignedManifestVerifiesUnderItsKeyOnly() throws {
        let manifest = try sample().manifest
        let (signer, other) = (try TestSigner(), try TestSigner(8))
        let bytes = try Manifest.sign(manifest.unsignedBytes, signer: signer)
        let verified = try Manifest.verify(bytes, trustedKeys: [other.publicKey, signer.publicKey])
        #expect(verified.totals == manifest.totals && verified.facts == manifest.facts)
        #expect(verified.bytes == bytes)
        #expect(verified.digest == ContentHasher.digest(bytes))
        #expect(verified.facts.run == sampleRun)

        func code(_ bytes: [UInt8], _ keys: [[UInt8]]) -> PackFailure.Code? {
            failureCode { () throws(PackFailure) in _ = try Manifest.verify(bytes, trustedKeys: keys) }
        }
        #expect(code(bytes, [other.publicKey]) == .untrusted)
        #expect(code(bytes, []) == .untrusted)
        #expect(code(bytes, [[1, 2]]) == .untrusted)
        #expect(code(manifest.unsignedBytes, [signer.publicKey]) == .unsigned)
        let again = failureCode { () throws(PackFailure) in _ = try Manifest.sign(bytes, signer: signer) }
        #expect(again == .invalidManifest)
    }

    /// A signature line copied to other bytes, and one that claims a trusted key.
    @Test func aSignatureFitsItsBytesOnly() throws {
        let (first, second) = (try sample().manifest, try PackedFile([1], settings: PackSettings()).manifest)
        let (signer, forger) = (try TestSigner(), try TestSigner(9))
        let line = try Manifest.sign(first.unsignedBytes, signer: signer).dropFirst(first.unsignedBytes.count)
        let forged = ManifestSignature(
            keyID: ManifestSignature.keyID(publicKey: signer.publicKey),
            bytes: try forger.signature(over: second.unsignedBytes))
        for signature in [Array(line), forged.line] {
            let code = failureCode { () throws(PackFailure) in
                _ = try Manifest.verify(second.unsignedBytes + signature, trustedKeys: [signer.publicKey])
            }
            #expect(code == .badSignature)
        }
    }

    /// Any edit of a signed manifest fails verification; decoding alone never traps, and what it accepts is canonical.
    @Test func everyEditIsRefused() throws {
        let seed = propertySeed("everyEditIsRefused")
        var generator = SeededGenerator(seed: seed)
        let signer = try TestSigner()
        let bytes = try Manifest.sign(sample().manifest.unsignedBytes, signer: signer)
        for _ in 0..<1500 {
            let edited = edit(bytes, &generator)
            if edited == bytes { continue }
            let code = failureCode { () throws(PackFailure) in
                _ = try Manifest.verify(edited, trustedKeys: [signer.publicKey])
            }
            #expect(code != nil, "seed \(seed)")
            do throws(PackFailure) {
                let decoded = try Manifest.decode(edited)
                let isCanonical = decoded.bytes == edited
                #expect(isCanonical, "seed \(seed)")
            } catch {
                #expect(error.code == .invalidManifest || error.code == .tooLarge, "seed \(seed): \(error)")
            }
        }
    }

    private func edit(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var (edited, place) = (bytes, Int.random(in: 0..<bytes.count, using: &generator))
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
        let (from, to) = (
            lines.indices.randomElement(using: &generator) ?? 0, lines.indices.randomElement(using: &generator) ?? 0
        )
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: edited[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
        case 1: edited[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: edited.remove(at: place)
        case 3: edited.insert(UInt8.random(in: 32...126, using: &generator), at: place)
        case 4: edited.removeSubrange(place...)
        case 5: edited.append(contentsOf: bytes[place...])
        case 6:
            lines.swapAt(from, to)
            edited = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
        default:
            lines.insert(lines[from], at: to)
            edited = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
            place = 0
        }
        return edited
    }

    /// Each contradiction, named by the text it replaces, is found without a signature.
    @Test func everyContradictionIsFound() throws {
        let manifest = try sample().manifest
        let text = String(decoding: manifest.unsignedBytes, as: UTF8.self)
        let (segment, totals) = (manifest.segments[1], manifest.totals)
        let otherDigest = ContentHasher.digest([0]).hex
        let edits: [(String, String)] = [
            ("\"format\":1", "\"format\":2"),
            ("\"kind\":\"pack\"", "\"kind\":\"pick\""),
            ("\"piece_length\":65536", "\"piece_length\":131072"),
            ("\"piece_length\":65536", "\"piece_length\":0"),
            ("\"raw_length\":400000", "\"raw_length\":400001"),
            ("\"raw_length\":400000", "\"raw_length\":18446744073709551615"),
            ("\"raw_length\":400000", "\"raw_length\":-1"),
            ("\"raw_length\":400000", "\"raw_length\":4e5"),
            ("\"segment_length\":60000", "\"segment_length\":60001"),
            ("\"segment_length\":60000", "\"segment_length\":0"),
            ("\"zstd_level\":1", "\"zstd_level\":22"),
            ("\"attempt\":1", "\"attempt\":0"),
            ("\"app\":\"web\"", "\"app\":\"../web\""),
            ("\"app\":\"web\"", "\"app\":\"web\",\"app\":\"web\""),
            ("\"commit\":\"a1", "\"commit\":\"A1"),
            ("\"commit\":\"a1", "\"commit\":\""),
            ("\"grace_seconds\":5", "\"grace_seconds\":4294967295"),
            ("\"stop_signal\":\"INT\"", "\"stop_signal\":\"STOP\""),
            ("\"kind\":\"http\"", "\"kind\":\"tcp\""),
            ("\"A_B=\",\"B=2\"", "\"B=2\",\"A_B=\""),
            ("\"A_B=\",\"B=2\"", "\"B=1\",\"B=2\""),
            ("\"offset\":\(segment.offset),", "\"offset\":\(segment.offset + 1),"),
            ("\"packed\":\(segment.packedLength),", "\"packed\":\(segment.packedLength + 1),"),
            ("\"packed\":\(segment.packedLength),", "\"packed\":0,"),
            ("\"packed\":\(segment.packedLength),", "\"packed\":18446744073709551615,"),
            ("\"raw\":60000", "\"raw\":59999"),
            (segment.rawDigest.hex, otherDigest),
            (manifest.pieces[0].hex, otherDigest),
            (manifest.pieces[0].hex, manifest.pieces[0].hex.uppercased()),
            (manifest.pieces[0].hex, ""),
            (totals.root.hex, otherDigest),
            (totals.rawDigest.hex, otherDigest),
            ("\"packed_length\":\(totals.packedLength)", "\"packed_length\":\(totals.packedLength - 1)"),
            ("\"kind\":\"end\"", "\"kind\":\"END\""),
            ("\"worker\":\"w1\"", "\"worker\":\"w 1\""),
            ("\"worker\":\"w1\"", "\"worker\":\"w1\",\"x\":1"),
            ("{\"app\"", "{ \"app\""),
            ("https://", "https:\\/\\/"),
            ("}\n", "}\n\n"),
            ("}\n", "}\r\n"),
        ]
        for (from, to) in edits {
            let range = try #require(text.range(of: from), "\(from)")
            let code = decodeCode(Array(text.replacingCharacters(in: range, with: to).utf8))
            #expect(code == .invalidManifest || code == .tooLarge, "\(from) -> \(to)")
        }
        #expect(decodeCode(manifest.unsignedBytes) == nil)
    }

    @Test func hostileBytesAreRefused() {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20) + [UInt8(ascii: "\n")]
        let inputs: [[UInt8]] = [
            [], [10], [10, 10, 10], [0], [0, 10], Array("{}\n".utf8), Array("null\n".utf8), [0xff, 0xfe, 10], deep,
            Array("{\"ed25519\":\"\n".utf8), Array("{\"ed25519\":\"\",\"key\":\"\",\"kind\":\"signature\"}\n".utf8),
            Array("{\"kind\":\"pack\"}\n".utf8), [UInt8](repeating: 10, count: 4 << 20),
        ]
        for input in inputs { #expect(decodeCode(input) == .invalidManifest, "\(input.prefix(20))") }
        #expect(decodeCode([UInt8](repeating: 10, count: 4 << 20 + 1)) == .tooLarge)
    }

    /// The largest file has a manifest below the limit, and reading it back is quick enough to do it here.
    @Test func theLargestFileHasAManifest() throws {
        let limits = PackLimits()
        let facts = PackFacts(
            app: try #require(AppName(rawValue: "web")), build: BuildID(rawValue: 1), attempt: .first,
            commit: String(repeating: "a1", count: 20), repository: "r", rawLength: limits.maximumRawBytes,
            segmentLength: 64 << 20, pieceLength: 16 << 20, zstdVersion: "1.5.4", zstdLevel: 1, run: RunSettings())
        var writer = try ManifestWriter(facts, limits: limits)
        var pieces: [Digest] = []
        let hash = ContentHasher.digest([1])
        for index in 0..<Int(facts.segmentCount) {
            let fresh = [Digest](repeating: hash, count: 4)
            pieces += fresh
            writer.append(
                PackSegment(
                    rawLength: 64 << 20, rawDigest: hash, packedLength: 64 << 20, offset: UInt64(index) * 64 << 20),
                pieces: fresh[...])
        }
        let summary = MerkleTree.Summary(
            root: MerkleTree.root(pieceLayer: pieces, pieceLength: 16 << 20), pieceLayer: pieces)
        let manifest = try writer.finish(summary, sampleRequest().provenance, limits: limits)
        #expect(manifest.pieces.count == 16384)
        #expect(manifest.bytes.count < limits.maximumManifestBytes)
    }
}
