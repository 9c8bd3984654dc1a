import Blobs
import Domain
import Foundation
import Packs
import Ports
import Swarm
import Testing
import Transfer

@testable import Region

@Suite("A region removes what is retired", .timeLimit(.minutes(5)))
struct RemovalTests {
    /// A settled pack with its manifest and some output in the store.
    private func store(_ pack: TestPack, in region: TestRegion) async throws {
        region.upstream.know(pack)
        _ = try await region.manifests(pack.manifest.digest)
        try await region.put(pack)
        try await region.store.put(RegionKey.output(pack.build, .first, 0), bytes: 2, from: OneChunk([1, 2]))
        try await region.take(pack.uploadedFact(), pack.storedFact(in: here))
        try await region.submit(.packStored(pack.build, pack.attempt, manifest: pack.manifest.digest))
    }

    private func hasAnything(of pack: TestPack, in region: TestRegion) async throws -> Bool {
        if try await region.holds(pack.build) { return true }
        return try await region.store.information(RegionKey.output(pack.build, .first, 0)) != nil
    }

    @Test("after the grace pack and output go, then the region says so; what is kept stays")
    func removed() async throws {
        try await TestRegion.run { region in
            let (old, kept) = (try TestPack(1, rawBytes: 70_000), try TestPack(2, rawBytes: 70_000))
            for pack in [old, kept] { try await store(pack, in: region) }
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { region.shelf.pack(old.manifest.packName) != nil })
                try await region.take(.buildRetired(build(1), removeAfter: .zero))
                #expect(await eventually { region.upstream.calls.contains("removed 1") })
                #expect(region.shelf.pack(old.manifest.packName) == nil)
                #expect(try await region.pack(build(1))?.phase == .removed)
                #expect(try await !hasAnything(of: old, in: region))
                #expect(
                    try await region.store.information(.content(old.manifest.digest)) != nil, "the log names it")
                #expect(region.shelf.pack(kept.manifest.packName) != nil)
                #expect(try await hasAnything(of: kept, in: region))
            }
        }
    }

    @Test("before the grace is over it is served as ever")
    func grace() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await store(pack, in: region)
            try await region.take(.buildRetired(build(1), removeAfter: .distantFuture))
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { region.shelf.pack(pack.manifest.packName) != nil })
            }
            #expect(try await region.holds(build(1)))
            #expect(try await region.pack(build(1))?.phase == .stored)
        }
    }

    @Test("killed behind any step, it goes on: a repeated removal is the same")
    func killed() async throws {
        for step in 0...3 {
            try await TestRegion.run { region in
                let pack = try TestPack(1, rawBytes: 70_000)
                try await store(pack, in: region)
                try await region.take(.buildRetired(build(1), removeAfter: .zero))
                // What an earlier life did before it was killed.
                if step == 1 { try await region.store.delete(RegionKey.pack(build(1), .first)) }
                if step >= 2 { try await region.keeper.remove(build(1)) }
                if step == 3 { try await region.submit(.packRemoved(build(1))) }
                try await during(region.mirror().run) { () async throws in
                    #expect(await eventually { region.upstream.calls.contains("removed 1") }, "step \(step)")
                }
                #expect(try await region.pack(build(1))?.phase == .removed, "step \(step)")
                #expect(try await !hasAnything(of: pack, in: region), "step \(step)")
            }
        }
    }

    @Test("whoever has begun to read a pack reads all of it; the next one is refused")
    func served() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1)
            try await store(pack, in: region)
            let path = try #require(try await region.store.localPath(RegionKey.pack(build(1), .first)))
            let reader = try FileHandle(forReadingFrom: URL(filePath: path))
            let first = try #require(try reader.read(upToCount: 1000))
            try await region.keeper.remove(build(1))
            let rest = try #require(try reader.readToEnd())
            #expect([UInt8](first + rest) == pack.bytes)
            #expect(try await region.store.localPath(RegionKey.pack(build(1), .first)) == nil)
        }
    }

    @Test("a copy that is under way when its build is retired is dropped, not kept")
    func copied() async throws {
        try await TestRegion.run { region in
            let (pack, two) = (try TestPack(1, rawBytes: 70_000), RegionName(unchecked: "two"))
            region.upstream.know(pack)
            try await region.take(.region(two, endpoint: "http://two", .live), pack.storedFact(in: two))
            try await region.put(pack)
            try await region.take(.buildRetired(build(1), removeAfter: .distantFuture))
            await #expect(throws: Refusal.self) {
                try await region.submit(.packStored(build(1), .first, manifest: pack.manifest.digest))
            }
            try await during(region.mirror().run) { () async throws in
                #expect(try await eventually { try await !region.holds(build(1)) })
            }
            #expect(!region.upstream.calls.contains { $0.hasPrefix("stored") || $0.hasPrefix("removed") })
        }
    }

    @Test("what is left of a removed build is swept")
    func swept() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await store(pack, in: region)
            try await region.take(.buildRetired(build(1), removeAfter: .zero))
            try await region.submit(.packRemoved(build(1)))
            #expect(try await region.holds(build(1)))
            try await region.keeper.sweep()
            #expect(try await !region.holds(build(1)))
        }
    }

    @Test("a log that was set back wants it again: what was removed is lost, and is copied")
    func setBack() async throws {
        try await TestRegion.run { region in
            let (pack, two) = (try TestPack(1, rawBytes: 70_000), RegionName(unchecked: "two"))
            try await store(pack, in: region)
            try await region.take(.region(two, endpoint: "http://two", .live), pack.storedFact(in: two))
            let common = try #require(try await region.state.position)
            try await region.take(.buildRetired(build(1), removeAfter: .zero))
            try await region.submit(.packRemoved(build(1)))
            try await region.submit(.refollow(common))
            #expect(try await region.pack(build(1))?.phase == .lost)
            #expect(try await region.pack(build(1))?.retirement == nil)
            #expect(try await region.state.planMirror(here: here) == [.reportLost(build(1))])
        }
    }

    @Test("a log that forgot a removal is told of it again", arguments: [true, false])
    func setBackBehindTheReport(isRetiredThere: Bool) async throws {
        try await TestRegion.run { region in
            let (pack, two) = (try TestPack(1, rawBytes: 70_000), RegionName(unchecked: "two"))
            try await store(pack, in: region)
            try await region.take(.region(two, endpoint: "http://two", .live), pack.storedFact(in: two))
            var common = try #require(try await region.state.position)
            try await region.take(.buildRetired(build(1), removeAfter: .zero))
            if isRetiredThere { common = try #require(try await region.state.position) }
            try await region.submit(.packRemoved(build(1)))
            try await region.take(.packLost(build(1), region: here), .packLost(build(1), region: two))
            #expect(try await region.state.planMirror(here: here) == [])
            try await region.submit(.refollow(common))
            #expect(try await region.pack(build(1))?.confirmed.regions == [here, two])
            let expected: MirrorEffect = isRetiredThere ? .reportRemoved(build(1)) : .reportLost(build(1))
            #expect(try await region.state.planMirror(here: here) == [expected])
        }
    }

    @Test("what may not go, or not yet, or not any more, stays")
    func looksAgain() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await store(pack, in: region)
            let common = try #require(try await region.state.position)
            #expect(try await !region.keeper.isRemovable(build(1)))
            try await region.take(.buildRetired(build(1), removeAfter: .distantFuture))
            #expect(try await !region.keeper.isRemovable(build(1)))
            try await region.take(.buildRetired(build(1), removeAfter: .zero))
            #expect(try await region.keeper.isRemovable(build(1)))
            try await region.submit(.refollow(common))
            #expect(try await !region.keeper.isRemovable(build(1)), "the log was set back")
            #expect(try await !region.keeper.isRemovable(build(9)))
        }
    }

    @Test("what was removed while the log was set back is lost at once")
    func removedTooLate() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await store(pack, in: region)
            try await region.keeper.remove(build(1))
            try await region.keeper.noteRemoved(build(1))
            #expect(try await region.pack(build(1))?.phase == .lost)
            #expect(try await region.state.planMirror(here: here) == [.reportLost(build(1))])
        }
    }

    @Test("only another percent is told, the same once a minute, and everything to another epoch")
    func toldStore() {
        var told = ToldStore()
        let (some, more) = (StoreLevel(usedBytes: 100, freeBytes: 900), StoreLevel(usedBytes: 120, freeBytes: 880))
        #expect(told.looked(at: some, follows: .first) == some)
        #expect(told.looked(at: some, follows: .first) == some, "it was not told yet")
        told.told(some)
        #expect(told.looked(at: StoreLevel(usedBytes: 109, freeBytes: 891), follows: .first) == nil)
        #expect(told.looked(at: more, follows: .first) == more)
        told.told(more)
        #expect(told.looked(at: more, follows: Epoch(rawValue: 2)) == more)
        told.told(more)
        for _ in 1..<ToldStore.repeatLooks { #expect(told.looked(at: more, follows: Epoch(rawValue: 2)) == nil) }
        #expect(told.looked(at: more, follows: Epoch(rawValue: 2)) == more, "once a minute in any case")
    }
}
