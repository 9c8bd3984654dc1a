import CrashLab
import Testing

/// A small file system's history, written by hand.
private func disk(_ steps: [Trace.Step]) throws -> SimulatedDisk {
    var disk = SimulatedDisk()
    for step in steps { try disk.take(step) }
    return disk
}

private func open(_ file: UInt64, _ path: String, created: Bool = true) -> Trace.Step {
    .open(file: file, path: path, .init(isCreated: created))
}

private func openDirectory(_ file: UInt64, _ path: String) -> Trace.Step {
    .open(file: file, path: path, .init(isDirectory: true))
}

private func write(_ file: UInt64, _ text: String, at offset: Int = 0) -> Trace.Step {
    .write(file: file, offset: offset, bytes: Array(text.utf8)[...])
}

extension SimulatedDisk {
    /// Every file's text after a loss of power that kept only what is durable for certain.
    fileprivate var certain: [String: String] { texts(.nothing) }

    fileprivate func texts(_ survival: Survival) -> [String: String] {
        image(survival).files.mapValues { String(decoding: $0, as: UTF8.self) }
    }
}

@Suite struct SimulatedDiskTests {
    @Test func nothingIsCertainBeforeAFlush() throws {
        let disk = try disk([open(1, "a"), write(1, "one")])
        #expect(disk.certain == [:])
        #expect(disk.pendingUnits == 2)
        #expect(disk.texts(.everything) == ["a": "one"])
    }

    /// A flushed file may have no name, a flushed name no content.
    @Test func contentsAndNamesAreFlushedApart() throws {
        let steps = [open(1, "a"), write(1, "one"), openDirectory(2, "")]
        let content = try disk(steps + [.flush(file: 1, before: 3)])
        #expect(content.certain == [:])
        let name = try disk(steps + [.flush(file: 2, before: 3)])
        #expect(name.certain == ["a": ""])
        let both = try disk(steps + [.flush(file: 1, before: 3), .flush(file: 2, before: 3)])
        #expect(both.certain == ["a": "one"])
        #expect(both.pendingUnits == 0)
    }

    /// What was written while a flush was under way is not certain.
    @Test func aFlushCoversWhatCameBeforeIt() throws {
        let disk = try disk([
            openDirectory(2, ""), open(1, "a"), .flush(file: 2, before: 2), write(1, "one"), write(1, "two", at: 3),
            .flush(file: 1, before: 4),
        ])
        #expect(disk.certain == ["a": "one"])
    }

    /// As Linux does it: the flush behind a failed one says that all is well, and writes only what was changed since.
    @Test func whatAFailedFlushGaveUpIsNotFlushedLater() throws {
        let page = 4096
        let begun = [
            openDirectory(2, ""), open(1, "a"), .flush(file: 2, before: 2),
            write(1, String(repeating: "x", count: 2 * page)), .flushFailed(file: 1, before: 4),
        ]
        let later = try disk(begun + [.flush(file: 1, before: 5)])
        #expect(later.certain == ["a": ""] && later.pendingUnits == 2)
        let other = try disk(begun + [write(1, "end", at: 2 * page), .flush(file: 1, before: 6)])
        #expect(other.pendingUnits == 2)
        #expect(other.certain["a"]?.hasSuffix("end") == true && other.certain["a"]?.contains("x") == false)
        // A page that is changed again goes whole.
        let again = try disk(begun + [write(1, "y", at: page), .flush(file: 1, before: 6)])
        #expect(again.pendingUnits == 1)
        #expect(again.certain["a"]?.hasSuffix("y" + String(repeating: "x", count: page - 1)) == true)
        #expect(again.texts(.everything)["a"]?.hasPrefix(String(repeating: "x", count: page) + "y") == true)
    }

    @Test func aDurableWriteTakesItsPagesAlong() throws {
        let far = String(repeating: "x", count: 8192)
        let disk = try disk([
            openDirectory(2, ""), open(1, "a"), .flush(file: 2, before: 2), write(1, far), .flush(file: 1, before: 4),
            write(1, "near", at: 100), write(1, "far", at: 5000), write(1, "meta"), .flushOne(file: 1),
        ])
        let text = try #require(disk.certain["a"])
        #expect(text.hasPrefix("meta"))
        #expect(text.dropFirst(100).hasPrefix("near"))
        #expect(!text.contains("far"))
    }

    @Test func aRenameIsWholeOrNotThere() throws {
        let disk = try disk([
            openDirectory(2, ""), open(1, "a"), write(1, "one"), .flush(file: 1, before: 3), .flush(file: 2, before: 3),
            .rename("a", "b"),
        ])
        #expect(disk.certain == ["a": "one"])
        #expect(disk.texts(.everything) == ["b": "one"])
    }

    /// A log below two new directories whose nearest name alone is flushed: the bug that the laboratory found.
    @Test func aFlushedNameBelowAnUnflushedOneIsNotThere() throws {
        let disk = try disk([
            .makeDirectory("data"), .makeDirectory("data/log"), open(1, "data/log/f"), write(1, "one"),
            .flush(file: 1, before: 4), openDirectory(2, "data/log"), .flush(file: 2, before: 6),
            openDirectory(3, "data"), .flush(file: 3, before: 8),
        ])
        #expect(disk.certain == [:])
        #expect(disk.texts(.everything) == ["data/log/f": "one"])
    }

    /// Every subset of three writes is drawn, in every order, whole and torn: all that can differ does.
    @Test func drawnImagesCoverWhatCanHappen() throws {
        let disk = try disk([
            openDirectory(2, ""), open(1, "a"), .flush(file: 2, before: 2),
            write(1, String(repeating: "0", count: 1024)), .flush(file: 1, before: 4),
            write(1, String(repeating: "1", count: 1024)), write(1, String(repeating: "2", count: 512), at: 512),
        ])
        var seen: Set<String> = []
        for seed in 0..<2000 as Range<UInt64> {
            let bytes = try #require(disk.image(.drawn(seed: seed)).files["a"])
            seen.insert(String(decoding: [bytes[0], bytes[600]], as: UTF8.self))
        }
        // The first sector is old or new, the second old, first or second, as the order has it.
        #expect(seen == ["00", "01", "02", "10", "11", "12"])
        #expect(disk.image(.drawn(seed: 7)) == disk.image(.drawn(seed: 7)))
    }

    @Test func aTraceThatWasCutIsRefused() throws {
        #expect(throws: Trace.Malformed.self) { try Trace([1, 2, 3]) }
        var steps = SimulatedDisk()
        #expect(throws: SimulatedDisk.Impossible.self) { try steps.take(write(9, "one")) }
    }
}

@Suite struct PlanTests {
    /// The share of a step with three units holds each subset once, then drawn ones.
    @Test func smallWindowsAreExhaustive() throws {
        let trace = Trace(steps: [open(1, "a"), write(1, "one"), write(1, "two", at: 3)])
        let plan = try ImagePlan(trace, images: 60, seed: 1)
        #expect(plan.variations(after: 0) == 1)
        #expect(plan.images >= 60 - 3)
        let three = (0..<plan.variations(after: 3)).map { plan.survival(at: .init(step: 3, variation: $0)) }
        for mask in 1..<7 as Range<UInt64> { #expect(three.count { $0 == .units(mask) } == 1) }
        #expect(three.prefix(2) == [.nothing, .everything])
        #expect(three.contains { if case .drawn = $0 { true } else { false } })
        #expect(Set(three).count == three.count)
    }

    @Test func theSameSeedDrawsTheSame() throws {
        let trace = Trace(steps: [open(1, "a"), write(1, "one")])
        let place = ImagePlan.Place(step: 2, variation: 40)
        let first = try ImagePlan(trace, images: 100, seed: 3)
        #expect(first.survival(at: place) == (try ImagePlan(trace, images: 100, seed: 3).survival(at: place)))
        #expect(first.survival(at: place) != (try ImagePlan(trace, images: 100, seed: 4).survival(at: place)))
    }
}

@Suite struct DamageTests {
    @Test func everyDamageStaysInTheFile() {
        for index in 0..<5000 {
            let damage = Damage.drawn(index, seed: 5, fileBytes: 8192, frames: 10)
            var bytes = [UInt8](repeating: 7, count: 8192)
            damage.apply(to: &bytes)
            switch damage {
            case .flip: #expect(bytes.count { $0 != 7 } == 1)
            case .cut(let length): #expect(bytes.count == length)
            case .zeros(_, let count): #expect(bytes.count { $0 == 0 } == count)
            case .misplaced, .forged: #expect(bytes.count == 8192)
            }
        }
    }
}

@Suite struct ToldTests {
    @Test func linesAreReadAsTheyAreWritten() {
        let text =
            "ready\nanswer 7 \(String(repeating: "ab", count: 32)) 12 3\nfailed 13\nunknown 14\nFatal error\nend\n"
        let told = Told(text.utf8)
        #expect(told.isReady && told.isEnded)
        #expect(told.answers.count == 1)
        #expect(told.answers.first.map { Told.line($0) } == text.split(separator: "\n")[1].description)
        #expect(told.failed == [13])
        #expect(told.unknown == [14])
        #expect(told.other == ["Fatal error"])
    }

    /// The last line of a process that was killed may be cut.
    @Test func aCutLineSaysNothing() {
        #expect(Told("ready\nanswer 7 abab".utf8).answers.isEmpty)
    }
}
