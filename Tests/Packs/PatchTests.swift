import Domain
import Foundation
import Packs
import Testing

/// Two raw files in a workshop, and what a patch between them is made and applied with.
struct PatchedPair {
    let workshop: Workshop
    let base: [UInt8]
    let target: [UInt8]
    let segmentLength: UInt64

    init(_ base: [UInt8], _ target: [UInt8], segmentLength: UInt64 = 64 << 20) throws {
        workshop = try Workshop()
        (self.base, self.target, self.segmentLength) = (base, target, segmentLength)
        try workshop.write(base, "base")
        try workshop.write(target, "target")
    }

    func side(_ name: String) throws -> PatchWriter.Side {
        let path = workshop.file(name)
        return PatchWriter.Side(
            path: path, identity: try RawIdentity.measure(path: path, segmentLength: segmentLength))
    }

    @discardableResult
    func make(_ settings: PatchSettings = PatchSettings(), to name: String = "patch") throws -> [UInt8] {
        let header = try PatchWriter(settings: settings).write(
            base: side("base"), target: side("target"), to: workshop.file(name))
        #expect(
            header.entries.count
                == Int(
                    PackLimits.segmentCount(
                        rawBytes: UInt64(target.count), segmentBytes: segmentLength)))
        return try workshop.read(name)
    }

    func apply(_ name: String = "patch", base: String = "base", threads: Int = 2) throws -> [UInt8] {
        try PatchReader(path: workshop.file(name)).apply(
            base: workshop.file(base), to: workshop.file("rebuilt"), threads: threads)
        return try workshop.read("rebuilt")
    }
}

func patchSettings(_ level: PatchSettings.Level = .fast, window: Int = 1 << 20, threads: Int = 2) -> PatchSettings {
    var settings = PatchSettings()
    (settings.level, settings.windowBytes, settings.threads) = (level, window, threads)
    return settings
}

extension SeededGenerator {
    /// Like a program: instructions that repeat, every 20 bytes or so an address relative to the place that names it, and
    /// tables of addresses. Each version is that of the one before with `inserted` more bytes in the middle.
    mutating func programs(_ count: Int, inserted: Int) -> (old: [UInt8], new: [UInt8]) {
        var (old, new): ([UInt8], [UInt8]) = ([], [])
        while old.count < count {
            let words = noise(Int.random(in: 4...30, using: &self))
            let target = Int.random(in: 0..<count, using: &self)
            for isNew in [false, true] {
                let moved = isNew && target > count / 2 ? target + inserted : target
                let here = isNew ? new.count : old.count
                let address = UInt32(truncatingIfNeeded: moved - here)
                let bytes = words + (0..<4).map { UInt8(truncatingIfNeeded: address >> (8 * UInt32($0))) }
                if isNew { new += bytes } else { old += bytes }
            }
            if new.count > count / 2, new.count == old.count { new += noise(inserted) }
        }
        return (old, new)
    }

    /// A copy with a random edit: bytes changed, put in, taken out, moved or exchanged.
    mutating func edited(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        func place(_ limit: Int) -> Int { Int.random(in: 0...limit, using: &self) }
        let count = min(bytes.count, Int.random(in: 0...20_000, using: &self))
        let start = place(bytes.count - count)
        switch Int.random(in: 0..<5, using: &self) {
        case 0: bytes.insert(contentsOf: noise(count), at: start)
        case 1: bytes.removeSubrange(start..<(start + count))
        case 2: bytes.replaceSubrange(start..<(start + count), with: noise(count))
        case 3:
            let moved = Array(bytes[start..<(start + count)])
            bytes.removeSubrange(start..<(start + count))
            bytes.insert(contentsOf: moved, at: place(bytes.count))
        default: for at in stride(from: start, to: start + count, by: 23) { bytes[at] &+= 3 }
        }
        return bytes
    }
}

struct PatchRoundTripTests {
    @Test func randomEditsComeBack() throws {
        let seed = propertySeed("randomEditsComeBack")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<25 {
            let base = generator.mixture(Int.random(in: 0...300_000, using: &generator))
            var target = base
            for _ in 0..<Int.random(in: 0...6, using: &generator) { target = generator.edited(target) }
            let pair = try PatchedPair(
                base, target, segmentLength: UInt64.random(in: 1024...200_000, using: &generator))
            let level = try #require(PatchSettings.Level.allCases.randomElement(using: &generator))
            // Windows smaller than the base are chosen by landmarks.
            let window = Int.random(in: (64 << 10)...(400 << 10), using: &generator)
            try pair.make(patchSettings(level, window: window))
            #expect(try pair.apply() == target, "seed \(seed), round \(round)")
            #expect(pair.workshop.names == ["base", "patch", "rebuilt", "target"])
        }
    }

    @Test(arguments: PatchSettings.Level.allCases) func bordersComeBack(level: PatchSettings.Level) throws {
        var generator = SeededGenerator(seed: 31)
        let noise = generator.noise(10_001)
        let sizes = [0, 1, 2, 7, 8, 31, 32, 33, 1023, 1024, 1025, 2047, 2048, 2049, 10_001]
        for base in [0, 1, 40, 1024, 10_001] {
            for size in sizes {
                let pair = try PatchedPair(Array(noise.prefix(base)), Array(noise.suffix(size)), segmentLength: 1024)
                try pair.make(patchSettings(level))
                #expect(try pair.apply() == pair.target, "\(base) to \(size)")
                let same = try PatchedPair(Array(noise.prefix(base)), Array(noise.prefix(size)), segmentLength: 1024)
                try same.make(patchSettings(level))
                #expect(try same.apply() == same.target, "\(base) to the same \(size)")
            }
        }
    }

    @Test func theRebuiltFileIsExecutable() throws {
        let pair = try PatchedPair([1, 2, 3], [1, 2, 4])
        try pair.make()
        _ = try pair.apply()
        let attributes = try FileManager.default.attributesOfItem(atPath: pair.workshop.file("rebuilt"))
        #expect(attributes[.posixPermissions] as? Int == 0o755)
    }

    @Test func aManifestIsComparedSegmentBySegment() throws {
        var generator = SeededGenerator(seed: 32)
        let raw = generator.mixture(300_000)
        let packed = try PackedFile(raw, settings: settings(segmentBytes: 70_000))
        let pair = try PatchedPair(generator.edited(raw), raw, segmentLength: 70_000)
        try pair.make()
        let reader = try PatchReader(path: pair.workshop.file("patch"))
        #expect(reader.header.target == RawIdentity(packed.manifest))
        var progress: [UInt64] = []
        try reader.apply(
            base: pair.workshop.file("base"), to: pair.workshop.file("rebuilt"), manifest: packed.manifest
        ) { progress.append($0) }
        #expect(try pair.workshop.read("rebuilt") == raw)
        #expect(progress == [70_000, 140_000, 210_000, 280_000, 300_000])

        let other = try PackedFile(generator.edited(raw), settings: settings(segmentBytes: 70_000))
        let code = failureCode { () throws(PackFailure) in
            try reader.apply(
                base: pair.workshop.file("base"), to: pair.workshop.file("rebuilt"), manifest: other.manifest)
        }
        #expect(code == .damaged)
    }

    @Test func theSameFilesGiveTheSamePatchWithAnyNumberOfThreads() throws {
        var generator = SeededGenerator(seed: 33)
        let base = generator.mixture(600_000)
        let pair = try PatchedPair(base, generator.edited(generator.edited(base)), segmentLength: 50_000)
        for level in PatchSettings.Level.allCases {
            let one = try pair.make(patchSettings(level, window: 128 << 10, threads: 1))
            let four = try pair.make(patchSettings(level, window: 128 << 10, threads: 4), to: "again")
            #expect(one == four)
            #expect(try pair.apply("again", threads: 3) == pair.target)
        }
    }

    @Test func aCancelledPatchLeavesNothing() throws {
        let pair = try PatchedPair(
            [UInt8](repeating: 1, count: 9000), [UInt8](repeating: 2, count: 9000), segmentLength: 1024)
        let (base, target) = (try pair.side("base"), try pair.side("target"))
        var asked = 0
        func isCancelled() -> Bool {
            asked += 1
            return asked == 3
        }
        let made = failureCode { () throws(PackFailure) in
            _ = try PatchWriter().write(
                base: base, target: target, to: pair.workshop.file("patch"), isCancelled: isCancelled)
        }
        #expect(made == .cancelled)
        #expect(pair.workshop.names == ["base", "target"])
        try pair.make()
        asked = 0
        let reader = try PatchReader(path: pair.workshop.file("patch"))
        let applied = failureCode { () throws(PackFailure) in
            try reader.apply(
                base: pair.workshop.file("base"), to: pair.workshop.file("rebuilt"), isCancelled: isCancelled)
        }
        #expect(applied == .cancelled)
        #expect(pair.workshop.names == ["base", "patch", "target"])
    }
}

/// What a patch costs, as bytes: these do not depend on the machine.
struct PatchSizeTests {
    @Test func whatIsEqualCostsNearlyNothing() throws {
        var generator = SeededGenerator(seed: 41)
        let base = generator.noise(1_000_000)
        let pair = try PatchedPair(base, base, segmentLength: 100_000)
        // A row and about ten bytes for each segment.
        #expect(try pair.make().count < 1000)
    }

    /// The segments stand elsewhere in the base, and there is more base than a window holds.
    @Test func whatMovedIsFound() throws {
        var generator = SeededGenerator(seed: 42)
        let base = generator.noise(1_000_000)
        let moved = Array(base[640_123...]) + base[..<640_123]
        let pair = try PatchedPair(base, moved, segmentLength: 100_000)
        #expect(try pair.make(patchSettings(window: 128 << 10)).count < 1500)
        #expect(try pair.apply() == moved)
    }

    @Test func whatChangedCostsItself() throws {
        var generator = SeededGenerator(seed: 43)
        let base = generator.noise(1_000_000)
        var target = base
        target.replaceSubrange(500_000..<510_000, with: generator.noise(10_000))
        target.insert(contentsOf: generator.noise(77), at: 200_000)
        let pair = try PatchedPair(base, target, segmentLength: 200_000)
        #expect(try pair.make(patchSettings(window: 300 << 10)).count < 11_500)
    }

    /// Every address differs; what moved by the same amount has the same difference.
    @Test(arguments: PatchSettings.Level.allCases) func movedAddressesCostLittle(level: PatchSettings.Level) throws {
        var generator = SeededGenerator(seed: 44)
        let (old, new) = generator.programs(1_000_000, inserted: 500)
        let pair = try PatchedPair(old, new, segmentLength: 300_000)
        let patch = try pair.make(patchSettings(level, window: 450 << 10)).count
        #expect(patch < new.count / 40)
        #expect(try pair.apply() == new)
    }

    @Test func nothingInCommonCostsTheTarget() throws {
        var generator = SeededGenerator(seed: 45)
        let pair = try PatchedPair(generator.noise(500_000), generator.noise(500_000), segmentLength: 100_000)
        #expect(try pair.make().count < 500_000 + 1500)
        #expect(try pair.apply() == pair.target)
    }
}

struct PatchRefusalTests {
    private func code(_ pair: PatchedPair, _ settings: PatchSettings) throws -> PackFailure.Code? {
        let (base, target) = (try pair.side("base"), try pair.side("target"))
        return failureCode { () throws(PackFailure) in
            _ = try PatchWriter(settings: settings).write(base: base, target: target, to: pair.workshop.file("patch"))
        }
    }

    @Test func tooLittleMemoryIsRefused() throws {
        let pair = try PatchedPair([1, 2, 3], [1, 2, 4])
        var settings = PatchSettings()
        settings.memoryBytes = 1000
        #expect(try code(pair, settings) == .tooLarge)
        settings.memoryBytes = 1 << 20
        #expect(try code(pair, settings) == nil)
    }

    @Test func littleMemoryMeansSmallWindows() throws {
        var generator = SeededGenerator(seed: 52)
        let base = generator.noise(2_000_000)
        let pair = try PatchedPair(base, generator.edited(base), segmentLength: 50_000)
        var windows: [Int] = []
        for megabytes: UInt64 in [8, 2] {
            var settings = PatchSettings()
            settings.memoryBytes = megabytes << 20
            try pair.make(settings)
            let reader = try PatchReader(path: pair.workshop.file("patch"))
            let largest = try reader.header.entries.indices.map { index throws(PackFailure) in
                try reader.summary(ofEntry: index).windowBytes
            }.max()
            windows.append(try #require(largest))
            #expect(try pair.apply() == pair.target)
        }
        #expect(windows[0] == 2_000_000 && windows[1] < 1_000_000, "\(windows)")
    }

    @Test func longSegmentsAreRefused() throws {
        let pair = try PatchedPair([1, 2, 3], [1, 2, 4], segmentLength: (64 << 20) + 1)
        #expect(try code(pair, PatchSettings()) == .tooLarge)
        #expect(pair.workshop.names == ["base", "target"])
    }

    @Test func filesThatAreNotWhatIsSaidOfThemAreRefused() throws {
        let pair = try PatchedPair([1, 2, 3], [1, 2, 4])
        let (base, target) = (try pair.side("base"), try pair.side("target"))
        for name in ["base", "target"] {
            try pair.workshop.write([1, 2], name)
            let code = failureCode { () throws(PackFailure) in
                _ = try PatchWriter().write(base: base, target: target, to: pair.workshop.file("patch"))
            }
            #expect(code == .changed)
            try pair.workshop.write([1, 2, 3], name)
        }
        let code = failureCode { () throws(PackFailure) in
            _ = try RawIdentity.measure(path: pair.workshop.path)
        }
        #expect(code == .artifact)
    }

    @Test func anotherBaseIsRefused() throws {
        var generator = SeededGenerator(seed: 51)
        let base = generator.mixture(50_000)
        let pair = try PatchedPair(base, generator.edited(base), segmentLength: 20_000)
        try pair.make()
        let reader = try PatchReader(path: pair.workshop.file("patch"))
        for wrong in [base + [0], Array(base.dropLast()), [], generator.noise(50_000)] {
            let path = try pair.workshop.write(wrong, "other")
            let code = failureCode { () throws(PackFailure) in
                try reader.apply(base: path, to: pair.workshop.file("rebuilt"))
            }
            #expect(code == .wrongBase)
            #expect(!pair.workshop.names.contains("rebuilt"))
        }
    }
}
