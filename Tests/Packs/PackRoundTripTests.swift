import Domain
import Foundation
import Glibc
import Packs
import Testing

struct PackRoundTripTests {
    private static let segment: UInt64 = 100_000

    private static var sizes: [Int] {
        let edges = [0, Int(segment), 2 * Int(segment), 16 << 10, 64 << 10, 128 << 10, 1 << 20]
        return Set(edges.flatMap { [$0 - 1, $0, $0 + 1] }.filter { $0 >= 0 }).sorted()
    }

    private func check(_ raw: [UInt8], _ settings: PackSettings, _ note: String) throws {
        let packed = try PackedFile(raw, settings: settings)
        let (manifest, workshop) = (packed.manifest, packed.workshop)
        #expect(manifest.facts.rawLength == UInt64(raw.count), "\(note)")
        #expect(manifest.totals.packedLength == UInt64(try workshop.read("pack").count), "\(note)")
        let segments = UInt64(max(1, (raw.count + Int(settings.segmentBytes) - 1) / Int(settings.segmentBytes)))
        #expect(UInt64(manifest.segments.count) == segments, "\(note)")
        #expect(try Manifest.decode(manifest.bytes) == manifest, "\(note)")

        let reader = try packed.reader()
        try reader.verifyPacked()
        var progress: [UInt64] = []
        try reader.unpack(to: workshop.file("unpacked")) { progress.append($0) }
        #expect(try workshop.read("unpacked") == raw, "\(note)")
        #expect(progress.last == UInt64(raw.count) && progress == progress.sorted(), "\(note)")
        #expect(workshop.names == ["pack", "raw", "unpacked"], "\(note)")
        let mode =
            try FileManager.default.attributesOfItem(atPath: workshop.file("unpacked"))[.posixPermissions] as? Int
        #expect(mode == 0o755)
        var pieces: [UInt8] = []
        for index in manifest.pieces.indices { pieces += try reader.readPiece(index) }
        #expect(try pieces == workshop.read("pack"), "\(note)")
    }

    @Test(arguments: sizes) func everyBorderComesBack(size: Int) throws {
        var generator = SeededGenerator(seed: UInt64(size))
        try check(generator.mixture(size), settings(segmentBytes: Self.segment), "size \(size)")
    }

    @Test func randomFilesComeBack() throws {
        let seed = propertySeed("randomFilesComeBack")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<15 {
            let size = Int.random(in: 0...1_500_000, using: &generator)
            let own = settings(
                segmentBytes: UInt64.random(in: 1024...400_000, using: &generator),
                threads: Int.random(in: 1...3, using: &generator), level: Int32.random(in: -3...6, using: &generator))
            let raw = Bool.random(using: &generator) ? generator.mixture(size) : generator.noise(size)
            try check(raw, own, "seed \(seed), size \(size), \(own)")
        }
    }

    @Test func aSegmentLargerThanAReadChunkComesBack() throws {
        var generator = SeededGenerator(seed: 3)
        try check(generator.mixture(2_500_001), settings(segmentBytes: 2 << 20), "large")
    }

    @Test func theSameFileGivesTheSamePackWithAnyNumberOfThreads() throws {
        var generator = SeededGenerator(seed: 4)
        let raw = generator.mixture(2_000_000)
        let one = try PackedFile(raw, settings: settings(segmentBytes: 70_000, threads: 1))
        let four = try PackedFile(raw, settings: settings(segmentBytes: 70_000, threads: 4))
        #expect(one.manifest == four.manifest)
        #expect(try one.workshop.read("pack") == four.workshop.read("pack"))
    }

    @Test(arguments: [0, 1, 99_999, 100_000, 1_234_567]) func zstdItselfOpensThePack(size: Int) throws {
        var generator = SeededGenerator(seed: 5)
        let packed = try PackedFile(generator.mixture(size), settings: settings(segmentBytes: Self.segment))
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/zstd") else {
            return print("zstdItselfOpensThePack: skipped, zstd is not installed")
        }
        let (status, output) = try run("/usr/bin/zstd", ["-d", "-c", "-q", packed.workshop.file("pack")])
        #expect(status == 0)
        #expect(output == packed.raw)
    }

    @Test func whatDoesNotCompressCostsNextToNothing() throws {
        var generator = SeededGenerator(seed: 6)
        let packed = try PackedFile(generator.noise(1 << 20), settings: settings(segmentBytes: 512 << 10))
        for segment in packed.manifest.segments {
            // A frame's header is at most 18 bytes, its checksum 4; each 128 KiB block has a header of 3.
            #expect(segment.packedLength <= segment.rawLength + 18 + 4 + 3 * 5)
        }
    }

    @Test func everyDraftIsAPrefixOfTheManifest() throws {
        var generator = SeededGenerator(seed: 7)
        let workshop = try Workshop()
        let artifact = try workshop.write(generator.noise(1_000_000), "raw")
        var steps: [PackProgress] = []
        let manifest = try PackWriter(settings: settings(segmentBytes: 90_000)).pack(
            artifact: artifact, to: workshop.file("pack"), sampleRequest()
        ) { steps.append($0) }
        #expect(steps.count == 13)
        #expect(steps.last?.rawBytes == 1_000_000)
        let signer = try TestSigner()
        for step in steps {
            #expect(manifest.unsignedBytes.starts(with: step.draft))
            let signed = try PackDraft.sign(step.draft, signer: signer)
            let draft = try PackDraft.verify(signed, trustedKeys: [signer.publicKey])
            #expect(draft.packedLength == step.packedBytes)
            #expect(UInt64(draft.pieces.count) >= step.packedBytes / manifest.pieceLength)
            #expect(draft.segments == Array(manifest.segments.prefix(draft.segments.count)))
            #expect(failureCode { () throws(PackFailure) in _ = try Manifest.decode(step.draft) } == .invalidManifest)
        }
    }
}

struct PackRefusalTests {
    private func pack(_ path: String, _ workshop: Workshop) -> PackFailure.Code? {
        failureCode { () throws(PackFailure) in
            guard let request = try? sampleRequest() else { return }
            _ = try PackWriter().pack(artifact: path, to: workshop.file("pack"), request)
        }
    }

    @Test func onlyARegularFileIsAnArtifact() throws {
        let workshop = try Workshop()
        try workshop.write([1], "raw")
        try FileManager.default.createSymbolicLink(atPath: workshop.file("link"), withDestinationPath: "raw")
        _ = unsafe mkfifo(workshop.file("pipe"), 0o600)
        for path in [workshop.path, workshop.file("link"), workshop.file("pipe"), workshop.file("none"), "/dev/null"] {
            #expect(pack(path, workshop) == .artifact, "\(path)")
        }
        #expect(!workshop.names.contains("pack"))
        #expect(pack(workshop.file("raw"), workshop) == nil)
    }

    @Test(arguments: [true, false]) func aFileThatChangesWhileItIsPackedIsRefused(grows: Bool) throws {
        let workshop = try Workshop()
        let artifact = try workshop.write([UInt8](repeating: 1, count: 500_000), "raw")
        let request = try sampleRequest()
        let code = failureCode { () throws(PackFailure) in
            _ = try PackWriter(settings: settings(segmentBytes: 1024)).pack(
                artifact: artifact, to: workshop.file("pack"), request
            ) { step in
                guard step.rawBytes == 0 else { return }
                _ = unsafe truncate(artifact, grows ? 600_000 : 400_000)
            }
        }
        #expect(code == .changed)
        #expect(workshop.names == ["raw"])
    }

    @Test func aCancelledPackLeavesNothing() throws {
        let workshop = try Workshop()
        let artifact = try workshop.write([UInt8](repeating: 1, count: 500_000), "raw")
        let request = try sampleRequest()
        var asked = 0
        let code = failureCode { () throws(PackFailure) in
            _ = try PackWriter(settings: settings(segmentBytes: 1024)).pack(
                artifact: artifact, to: workshop.file("pack"), request,
                isCancelled: {
                    asked += 1
                    return asked == 5
                })
        }
        #expect(code == .cancelled)
        #expect(workshop.names == ["raw"])
    }

    @Test func aFileAboveTheLimitIsRefusedBeforeItIsRead() throws {
        let workshop = try Workshop()
        let artifact = try workshop.write([UInt8](repeating: 1, count: 5000), "raw")
        var small = PackSettings()
        small.limits.maximumRawBytes = 4999
        let request = try sampleRequest()
        let code = failureCode { () throws(PackFailure) in
            _ = try PackWriter(settings: small).pack(artifact: artifact, to: workshop.file("pack"), request)
        }
        #expect(code == .tooLarge)
        #expect(workshop.names == ["raw"])
    }

    @Test func aDeviceWithoutSpaceIsFull() throws {
        let workshop = try Workshop()
        let artifact = try workshop.write([1, 2, 3], "raw")
        let request = try sampleRequest()
        try FileManager.default.createSymbolicLink(atPath: workshop.file("full"), withDestinationPath: "/dev/full")
        let code = failureCode { () throws(PackFailure) in
            _ = try PackWriter().pack(artifact: artifact, to: workshop.file("full"), request)
        }
        #expect(code == .full)
    }

    @Test func runSettingsBeyondTheirLimitsAreRefused() throws {
        let wrong = [
            RunSettings(command: ""), RunSettings(arguments: ["a\0b"]), RunSettings(environment: ["1A": "x"]),
            RunSettings(environment: ["A=B": "x"]), RunSettings(environment: ["": "x"]),
            RunSettings(arguments: [String(repeating: "x", count: 4097)]),
            RunSettings(arguments: [String](repeating: "x", count: 257)),
            RunSettings(health: .http(path: "healthz", port: 80, withinSeconds: 3)),
            RunSettings(health: .http(path: "/a b", port: 80, withinSeconds: 3)),
            RunSettings(health: .http(path: "/", port: 0, withinSeconds: 3)),
            RunSettings(health: .command("", arguments: [], withinSeconds: 3)),
            RunSettings(health: .alive(seconds: 90_000)), RunSettings(graceSeconds: 90_000),
        ]
        for settings in wrong {
            #expect(
                failureCode { () throws(PackFailure) in try settings.validate() } == .invalidManifest, "\(settings)")
        }
        try RunSettings().validate()
        try sampleRun.validate()
    }
}
