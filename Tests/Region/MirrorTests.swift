import Blobs
import Domain
import Engine
import Foundation
import Packs
import Ports
import Swarm
import Synchronization
import Testing
import Transfer

@testable import Region

@Suite("A region's mirror", .timeLimit(.minutes(5)))
struct MirrorTests {
    private func offered(_ region: TestRegion, _ pack: TestPack) -> Bool {
        region.shelf.pack(pack.manifest.packName) != nil
    }

    @Test("an upload is read back, reported and offered")
    func upload() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1)
            region.upstream.know(pack)
            try await region.put(pack)
            try await region.take(pack.uploadedFact())
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { region.upstream.calls.contains("stored 1/1") && offered(region, pack) })
            }
            #expect(try await region.pack(build(1))?.phase == .stored)
        }
    }

    @Test("of an unsettled upload that is missing or damaged the job fails")
    func badUploads() async throws {
        try await TestRegion.run { region in
            let (missing, damaged) = (try TestPack(1), try TestPack(2))
            region.upstream.know(missing, damaged)
            try await region.put(damaged)
            try await region.damage(damaged)
            try await region.take(missing.uploadedFact(), damaged.uploadedFact())
            try await during(region.mirror().run) { () async throws in
                #expect(
                    await eventually { Set(region.upstream.calls).isSuperset(of: ["failed 1/1", "failed 2/1"]) })
            }
            #expect(try await !region.holds(build(2)))
        }
    }

    @Test("a region that lost its disk says so and never fails a job that has succeeded")
    func emptyDisk() async throws {
        try await TestRegion.run { region in
            let (missing, damaged) = (try TestPack(1), try TestPack(2))
            region.upstream.know(missing, damaged)
            try await region.put(damaged)
            try await region.damage(damaged)
            for pack in [missing, damaged] { try await region.take(pack.uploadedFact(), pack.storedFact(in: here)) }
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { Set(region.upstream.calls).isSuperset(of: ["lost 1", "lost 2"]) })
            }
            #expect(!region.upstream.calls.contains { $0.hasPrefix("failed") })
            for number in [1, 2] as [UInt64] { #expect(try await region.pack(build(number))?.phase == .lost) }
            // The global log says it: from now on another region's copy is wanted.
            let other = RegionName(unchecked: "two")
            try await region.take(
                .region(other, endpoint: "http://two", .live), missing.storedFact(in: other),
                .packLost(build(1), region: here))
            let plan = try await region.state.planMirror(here: here)
            #expect(plan.contains { if case .mirror(build(1), _, _, _, from: [other]) = $0 { true } else { false } })
        }
    }

    @Test("a disk that cannot be read proves nothing: no pack is deleted, no job fails")
    func unreadable() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1)
            region.upstream.know(pack)
            try await region.put(pack)
            let path = try #require(try await region.store.localPath(RegionKey.pack(build(1), .first)))
            let aside = region.scratch.path + "/aside"
            try FileManager.default.moveItem(atPath: path, toPath: aside)
            await #expect(throws: (any Error).self) { _ = try await PackCheck.damage(at: path, pack.manifest) }
            #expect(try await PackCheck.damage(at: aside, pack.manifest) == nil)
            try Data(pack.bytes.dropLast()).write(to: URL(filePath: aside))
            #expect(try await PackCheck.damage(at: aside, pack.manifest)?.code == .damaged)
        }
    }

    @Test("four builds that cannot be helped do not stop the fifth")
    func hopelessBuilds() async throws {
        try await TestRegion.run { region in
            let packs = try (1...6).map { try TestPack(UInt64($0), rawBytes: 70_000) }
            // Of the first five the manifest cannot be had: each of their steps fails.
            for pack in packs { try await region.put(pack) }
            region.upstream.know(packs[5])
            for pack in packs { try await region.take(pack.uploadedFact()) }
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { offered(region, packs[5]) })
                region.upstream.know(packs[0])
                #expect(await eventually { offered(region, packs[0]) }, "and are helped when they can be")
            }
        }
    }

    @Test("the shelf follows the store: another pack of the same name replaces the first")
    func replaced() async throws {
        try await TestRegion.run { region in
            let (first, second) = (try TestPack(1), try TestPack(1))
            region.upstream.know(first, second)
            try await region.put(first)
            try await region.take(first.uploadedFact())
            try await during(region.mirror().run) { () async throws in
                #expect(await eventually { offered(region, first) })
                try await region.keeper.dropBranch(after: .zero)
                try await region.submit(.refollow(.start(of: log)))
                try await region.put(second)
                try await region.take(second.uploadedFact())
                #expect(
                    await eventually {
                        region.shelf.pack(second.manifest.packName)?.root == second.manifest.totals.root
                    })
            }
        }
    }
}

@Suite("A region checks its own store", .timeLimit(.minutes(5)))
struct StoreCheckTests {
    private func check(_ region: TestRegion, lookMilliseconds: Int64 = 50, sweepLooks: Int = 60) -> StoreCheck {
        var settings = StoreCheckSettings()
        settings.sweepLooks = sweepLooks
        (settings.lookMilliseconds, settings.packRestMilliseconds) = (lookMilliseconds, 10)
        return StoreCheck(
            engine: region.engine, keeper: region.keeper, manifests: region.manifests, settings: settings,
            logger: quietLogger)
    }

    private func store(_ pack: TestPack, in region: TestRegion) async throws {
        region.upstream.know(pack)
        try await region.put(pack)
        try await region.take(pack.uploadedFact(), pack.storedFact(in: here))
        try await region.submit(.packStored(pack.build, pack.attempt, manifest: pack.manifest.digest))
    }

    @Test("a pack that is gone is noticed while it runs, one that is sound is let alone")
    func missing() async throws {
        try await TestRegion.run { region in
            let (gone, sound) = (try TestPack(1), try TestPack(2))
            for pack in [gone, sound] { try await store(pack, in: region) }
            try await during(check(region).run) { () async throws in
                try await Task.sleep(for: .milliseconds(300))
                #expect(try await region.pack(build(1))?.phase == .stored)
                try await region.store.delete(RegionKey.pack(build(1), .first))
                #expect(try await eventually { try await region.pack(build(1))?.phase == .lost })
            }
            #expect(try await region.pack(build(2))?.phase == .stored)
        }
    }

    @Test("what a worker uploads long after its attempt has ended is swept as well")
    func late() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1)
            try await store(pack, in: region)
            try await during(check(region, sweepLooks: 1).run) { () async throws in
                try await Task.sleep(for: .milliseconds(300))
                #expect(try await region.holds(build(1)))
                try await region.take(.buildRetired(build(1), removeAfter: .zero))
                try await region.submit(.packRemoved(build(1)))
                #expect(try await eventually { try await !region.holds(build(1)) })
                try await region.put(pack)
                #expect(try await eventually { try await !region.holds(build(1)) })
            }
        }
    }

    @Test("a byte that turns over is found")
    func damaged() async throws {
        try await TestRegion.run { region in
            let (bad, sound) = (try TestPack(1), try TestPack(2))
            for pack in [bad, sound] { try await store(pack, in: region) }
            try await region.damage(bad)
            try await during(check(region, lookMilliseconds: 60_000).run) { () async throws in
                #expect(try await eventually { try await region.pack(build(1))?.phase == .lost })
                #expect(try await eventually { try await !region.holds(build(1)) })
            }
            #expect(try await region.pack(build(2))?.phase == .stored)
        }
    }

    @Test("a manifest that is damaged on the disk is fetched again")
    func damagedManifest() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            region.upstream.know(pack)
            let (key, digest) = (BlobKey.content(pack.manifest.digest), pack.manifest.digest)
            #expect(try await region.manifests(digest) == pack.manifest)
            let path = try #require(try await region.store.localPath(key))
            try Data(pack.manifest.bytes.dropLast(9)).write(to: URL(filePath: path))
            #expect(try await region.manifests(digest) == pack.manifest)
            #expect(try await region.store.verify(key) == digest)
        }
    }

    @Test("what attempts left that are over is swept at the start")
    func sweep() async throws {
        try await TestRegion.run { region in
            for number in [1, 2] as [UInt64] {
                _ = try await region.keeper.beginUpload(build(number), .first, bytes: 10)
                try await region.store.put(RegionKey.pack(build(number), .first), bytes: 1, from: OneChunk([1]))
            }
            region.upstream.state.withLock { $0.over = [1] }
            try await region.keeper.sweep()
            #expect(region.store.openUploads().map(\.name) == ["pack-2-1"])
            #expect(try await !region.holds(build(1)))
            #expect(try await region.holds(build(2)))
        }
    }
}
