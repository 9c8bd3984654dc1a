import Domain
import Foundation
import Testing

@testable import Packs

struct PatchDamageTests {
    private func outcome(_ pair: PatchedPair, _ patch: [UInt8]) throws -> PackFailure.Code? {
        try pair.workshop.write(patch, "bad")
        return failureCode { () throws(PackFailure) in
            try PatchReader(path: pair.workshop.file("bad")).apply(
                base: pair.workshop.file("base"), to: pair.workshop.file("rebuilt"))
        }
    }

    private func samplePair(_ seed: UInt64) throws -> PatchedPair {
        var generator = SeededGenerator(seed: seed)
        let (old, new) = generator.programs(6000, inserted: 100)
        return try PatchedPair(old, generator.noise(300) + new, segmentLength: 2500)
    }

    @Test func everyTruncationIsRefused() throws {
        let pair = try samplePair(61)
        let good = try pair.make()
        for count in 0..<good.count {
            #expect(try outcome(pair, Array(good.prefix(count))) == .damaged, "\(count) bytes")
        }
        #expect(try outcome(pair, good + [0]) == .damaged)
        #expect(try outcome(pair, good) == nil)
        #expect(pair.workshop.names == ["bad", "base", "patch", "rebuilt", "target"])
    }

    @Test func everyFlippedBitIsFound() throws {
        let seed = propertySeed("everyFlippedBitIsFound")
        let pair = try samplePair(seed)
        let good = try pair.make()
        for place in good.indices {
            var bad = good
            bad[place] ^= 1 << UInt8(place % 8)
            #expect(try outcome(pair, bad) == .damaged, "seed \(seed), byte \(place)")
        }
        #expect(!pair.workshop.names.contains("rebuilt"))
    }

    /// Entries whose digests fit, from a hostile patcher: an entry gives bytes of the right number, or is refused.
    @Test func brokenEntriesAreRefused() throws {
        let seed = propertySeed("brokenEntriesAreRefused")
        var generator = SeededGenerator(seed: seed)
        let (old, new) = generator.programs(6000, inserted: 100)
        var refused = 0
        for level in PatchSettings.Level.allCases {
            let (good, window) = try entry(old, new, level)
            for round in 0..<2000 {
                var bad = good
                for _ in 0...Int.random(in: 0...2, using: &generator) {
                    // The head, where the numbers are, more often.
                    let limit = Bool.random(using: &generator) ? 24 : bad.count
                    let place = Int.random(in: 0..<min(limit, bad.count), using: &generator)
                    bad[place] = UInt8.random(in: 0...255, using: &generator)
                }
                if round % 5 == 0 { bad = Array(bad.prefix(Int.random(in: 0..<bad.count, using: &generator))) }
                let code = failureCode { () throws(PackFailure) in
                    let entry = try EncodedPatchEntry(bad, length: new.count, baseLength: UInt64(old.count))
                    #expect(entry.windowLength <= old.count)
                    // Another window than the entry's: the numbers must be checked against it.
                    let rebuilt = try entry.rebuild(window: Array(window.prefix(entry.windowLength)))
                    #expect(rebuilt.count == new.count)
                }
                #expect(code == nil || code == .damaged, "seed \(seed), round \(round)")
                if code != nil { refused += 1 }
            }
        }
        #expect(refused > 2000)
    }

    private func entry(
        _ old: [UInt8], _ new: [UInt8], _ level: PatchSettings.Level
    ) throws -> (entry: [UInt8], window: [UInt8]) {
        let effort = PatchEffort(level)
        let entry = PatchEntry(new, window: old, ranges: [0..<UInt64(old.count)], effort: effort)
        return (try entry.encoded(window: old, level: effort.zstdLevel), old)
    }

    /// Numbers alone, without frames to go with them: nothing is allocated for what they promise.
    @Test func numbersOutOfRangeAreRefused() {
        let large = (1 << 61)
        let heads: [[Int]] = [
            [], [1], [1, 0], [5000], [large], [1, 0, 0], [1, 0, large], [1, large, 5], [1, 95, 6], [2, 0, 50, 40, 11],
            [0, 1, 0], [0, 1, 2], [0, large, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 1, 0, 0, 1],
            [0, 0, 0, large, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 3, large, 0, 0, 0, 0, 0, 0],
            [0, 2, 0, 3, 1, 0, 0, 0, 0, 0, 0, 9],
        ]
        for head in heads {
            var writer = VarintWriter()
            for number in head { writer.append(number) }
            let code = failureCode { () throws(PackFailure) in
                _ = try EncodedPatchEntry(writer.bytes, length: 100, baseLength: 100).rebuild(window: [])
            }
            #expect(code == .damaged, "\(head)")
        }
    }

    /// A frame that says it is small and is not, or refers to what is not there.
    @Test func framesAreBoundToTheirLength() throws {
        let zeros = try Zstandard.compress([UInt8](repeating: 0, count: 1 << 20), reference: [], level: 3)
        for length in [0, 1, 1 << 10, (1 << 20) - 1, (1 << 20) + 1, 1 << 30] {
            #expect(try Zstandard.decompress(zeros, length: length, reference: []) == nil)
        }
        #expect(try Zstandard.decompress([1, 2, 3], length: 3, reference: []) == nil)
        var generators = (SeededGenerator(seed: 62), SeededGenerator(seed: 62))
        // Two arrays: zstd takes a reference that is the input itself for none.
        let (noise, same) = (generators.0.noise(5000), generators.1.noise(5000))
        let referring = try Zstandard.compress(noise, reference: same, level: 19)
        #expect(referring.count < 100)
        #expect(try Zstandard.decompress(referring, length: 5000, reference: noise) == noise)
        #expect(try Zstandard.decompress(referring, length: 5000, reference: []) != noise)
    }
}

struct PatchPartTests {
    @Test func numbersComeBack() {
        let numbers = [0, 1, 127, 128, 300, 1 << 20, (1 << 55) + 5, (1 << 62) - 1]
        var writer = VarintWriter()
        for number in numbers { writer.append(number) }
        let signed = [0, -1, 1, -2, 5000, -5000, 1 << 40, -(1 << 40)]
        for number in signed { writer.append(signed: number) }
        var reader = VarintReader(writer.bytes)
        #expect(numbers.map { _ in reader.next() } == numbers)
        #expect(signed.map { _ in reader.nextSigned() } == signed)
        #expect(reader.isAtEnd && reader.next() == nil)
        for bad in [[0x80], [UInt8](repeating: 0xff, count: 9), [UInt8](repeating: 0x80, count: 20)] {
            var reader = VarintReader(bad)
            #expect(reader.next() == nil)
        }
    }

    @Test func landmarksDoNotDependOnHowTheBaseIsRead() throws {
        var generator = SeededGenerator(seed: 71)
        let workshop = try Workshop()
        let bytes = generator.mixture(200_000)
        let file = try OpenFile.open(workshop.write(bytes, "base"), flags: O_RDONLY)
        let whole = try BaseMap(file, length: 200_000, threads: 1)
        let parts = try BaseMap(file, length: 200_000, threads: 3, partBytes: 7919)
        #expect(!whole.ends.isEmpty && whole.ends == parts.ends)
        for found in whole.find(bytes[50_000...].withoutStart.span) {
            #expect(found.base >= UInt64(BaseMap.landmarkBytes))
        }
    }

    @Test func aWindowKeepsItsBudget() throws {
        var generator = SeededGenerator(seed: 72)
        let workshop = try Workshop()
        let bytes = generator.noise(2_000_000)
        let file = try OpenFile.open(workshop.write(bytes, "base"), flags: O_RDONLY)
        let chooser = WindowChooser(
            map: try BaseMap(file, length: 2_000_000, threads: 1), baseLength: 2_000_000, budget: 256 << 10)
        // Parts from everywhere.
        let parts = stride(from: 0, to: 2_000_000, by: 100_000).flatMap { bytes[$0..<($0 + 5000)] }
        for offset in [0, 1_900_000, 5_000_000] {
            let choice = chooser.choose(parts.span, offset: UInt64(offset))
            #expect(choice.ranges.reduce(0) { $0 + $1.upperBound - $1.lowerBound } <= 256 << 10)
            #expect(zip(choice.ranges, choice.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            #expect(choice.ranges.allSatisfy { !$0.isEmpty && $0.upperBound <= 2_000_000 })
        }
        let moved = chooser.choose(bytes[1_000_000..<1_100_000].withoutStart.span, offset: 0)
        #expect(moved.start == 1_000_000)
        #expect(moved.ranges.contains { $0.lowerBound <= 1_000_000 && $0.upperBound >= 1_100_000 })
    }

    /// Steps always cover the segment, whatever the two have in common.
    @Test func stepsCoverTheSegment() {
        let seed = propertySeed("stepsCoverTheSegment")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<60 {
            // Few different bytes and short periods: many places alike.
            let period = generator.noise(Int.random(in: 1...40, using: &generator)).map { $0 & 3 }
            let window = (0..<Int.random(in: 0...4000, using: &generator)).map { period[$0 % period.count] }
            var segment = window
            for _ in 0..<5 { segment = generator.edited(segment).prefix(6000).map { $0 & 3 } }
            let steps = SegmentMatcher.steps(segment.span, window.span, effort: PatchEffort(.fast))
            #expect(steps.reduce(0) { $0 + $1.copied + $1.fresh } == segment.count, "seed \(seed), round \(round)")
            let streams = PatchStreams(segment.span, window.span, steps)
            #expect(streams.rebuild(window, length: segment.count) == segment, "seed \(seed), round \(round)")
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate var withoutStart: [UInt8] { Array(self) }
}
