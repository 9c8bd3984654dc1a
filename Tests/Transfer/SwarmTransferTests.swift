import Domain
import Foundation
import Packs
import Swarm
import Testing

@testable import Transfer

/// Servers and fetches over loopback.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct SwarmTransferTests {
    private func peers(_ count: Int, _ pack: TestPack) async throws -> [RunningPeer] {
        var peers: [RunningPeer] = []
        for number in 1...count { peers.append(try await RunningPeer(number, pack)) }
        return peers
    }

    private func start(_ peers: [RunningPeer], mirror: RunningServer) async throws {
        for peer in peers {
            let others = try peers.filter { $0.name != peer.name }.map { try $0.server.endpoint }
            try await peer.start(FetchSources(mirrors: [try mirror.endpoint], neighbours: others))
        }
    }

    @Test func threePeersTogetherTakeLittleMoreThanOneCopy() async throws {
        let pack = try TestPack(rawBytes: 100_000_000)
        let (mirror, shared) = try await startMirror(of: pack)
        let peers = try await peers(3, pack)
        try await start(peers, mirror: mirror)
        for peer in peers { #expect(await peer.end() == nil) }
        for peer in peers {
            try peer.verify()
            #expect(peer.progress?.isComplete == true)
            #expect(peer.progress?.verifiedBytes == pack.totalBytes)
        }
        #expect(shared.servedBytes >= pack.totalBytes)
        #expect(
            shared.servedBytes * 10 <= pack.totalBytes * 15, "\(Double(shared.servedBytes) / Double(pack.totalBytes))")
        let fetched = peers.reduce(0) { $0 + ($1.progress?.bytesFromPeers ?? 0) }
        #expect(fetched >= pack.totalBytes * 3 / 2)
        for peer in peers { await peer.kill() }
        await mirror.stop()
    }

    @Test func aPeerKilledInTheMiddleStopsNobody() async throws {
        let pack = try TestPack(rawBytes: 40_000_000)
        let (mirror, shared) = try await startMirror(of: pack)
        let peers = try await peers(3, pack)
        try await start(peers, mirror: mirror)
        #expect(await eventually { (peers[0].progress?.verifiedPieces ?? 0) * 5 > pack.pieceCount })
        await peers[0].kill()
        for peer in peers.dropFirst() {
            #expect(await peer.end() == nil)
            try peer.verify()
        }
        #expect(shared.servedBytes <= pack.totalBytes * 2)
        for peer in peers.dropFirst() { await peer.kill() }
        await mirror.stop()
    }

    @Test func aCorruptingPeerIsBanned() async throws {
        let pack = try TestPack(rawBytes: 20_000_000)
        let (mirror, _) = try await startMirror(of: pack)
        let liar = try await RunningServer()
        let rubbish = pack.scratch.file("rubbish")
        try Data(count: Int(pack.totalBytes)).write(to: URL(fileURLWithPath: rubbish))
        liar.shelf.put(
            try SharedPack(
                manifest: pack.manifest, paths: [rubbish], verified: .all(pieceCount: pack.pieceCount),
                clock: MachineClock()), as: pack.name)
        let peer = try await RunningPeer(1, pack)
        try await peer.start(FetchSources(mirrors: [try mirror.endpoint], neighbours: [try liar.endpoint]))
        #expect(await peer.end() == nil)
        try peer.verify()
        #expect(peer.progress?.badPieces ?? 0 > 0)
        #expect(peer.progress?.badPieces ?? 0 <= PickerSettings().requestsInFlight)
        let (bad, good) = (try liar.endpoint, try mirror.endpoint)
        #expect(peer.fetcher?.isBanned(bad) == true)
        #expect(peer.fetcher?.isBanned(good) == false)
        for server in [mirror, liar] { await server.stop() }
        await peer.kill()
    }

    @Test func withoutTheMirrorPeersFinishFromEachOther() async throws {
        let pack = try TestPack(rawBytes: 40_000_000)
        let (mirror, shared) = try await startMirror(of: pack)
        let peers = try await peers(3, pack)
        try await start(Array(peers[0...1]), mirror: mirror)
        // Between them the two hold everything; the third has nothing and finds a mirror that is gone.
        #expect(
            await eventually {
                let held = peers[0...1].compactMap { $0.fetcher?.shared.have.pieces }
                return held.count == 2 && held[0].union(held[1]).isComplete
            })
        await mirror.stop()
        #expect(shared.servedBytes * 10 <= pack.totalBytes * 13)
        try await peers[2].start(
            FetchSources(mirrors: [try mirror.endpoint], neighbours: try peers[0...1].map { try $0.server.endpoint }))
        for peer in peers {
            #expect(await peer.end() == nil)
            try peer.verify()
        }
        #expect(peers[2].progress?.bytesFromMirrors == 0)
        for peer in peers { await peer.kill() }
    }

    @Test func aFetchGoesOnWhereItWasCancelled() async throws {
        let pack = try TestPack(rawBytes: 40_000_000)
        let (mirror, _) = try await startMirror(of: pack, ledger: nil)
        let peer = try await RunningPeer(1, pack)
        let sources = FetchSources(mirrors: [try mirror.endpoint])
        try await peer.start(sources)
        #expect(await eventually { (peer.progress?.verifiedPieces ?? 0) * 4 > pack.pieceCount })
        #expect(await peer.cancelFetch()?.code == .cancelled)
        let verified = try #require(peer.progress?.verifiedPieces)
        try await peer.start(sources)
        #expect(peer.progress?.verifiedPieces ?? 0 >= verified)
        let restored = try #require(peer.progress?.verifiedBytes)
        #expect(await peer.end() == nil)
        try peer.verify()
        #expect(restored < pack.totalBytes)
        #expect(peer.progress?.bytesFromMirrors == pack.totalBytes - restored)
        await peer.kill()
        await mirror.stop()
    }

    @Test func theSameFetchRunsAgainAfterCancellation() async throws {
        let pack = try TestPack(rawBytes: 20_000_000)
        let (mirror, _) = try await startMirror(of: pack)
        let client = PieceClient()
        let fetcher = try await PackFetcher.open(
            manifest: pack.manifest, finalPath: pack.scratch.file("final"),
            sources: FetchSources(mirrors: [try mirror.endpoint]), peer: PeerName(unchecked: "p"), client: client,
            clock: MachineClock(), seed: 1, logger: quietLogger)
        let first = Task { try await fetcher.run() }
        #expect(await eventually { fetcher.progress.verifiedPieces > 3 })
        first.cancel()
        _ = await first.result
        try await fetcher.run()
        try PackReader(path: pack.scratch.file("final"), manifest: pack.manifest).verifyPacked()
        await client.shutdown()
        await mirror.stop()
    }

    @Test func sourcesMayComeLate() async throws {
        let pack = try TestPack(rawBytes: 5_000_000)
        let peer = try await RunningPeer(1, pack)
        let dead = try PackEndpoint("http://127.0.0.1:1")
        try await peer.start(FetchSources(mirrors: [], neighbours: [dead]))
        let (mirror, _) = try await startMirror(of: pack)
        peer.fetcher?.setSources(FetchSources(mirrors: [try mirror.endpoint], neighbours: [dead]))
        #expect(await peer.end() == nil)
        try peer.verify()
        await peer.kill()
        await mirror.stop()
    }

    @Test func aMirrorThatIsItselfFetchingGivesWhatItHas() async throws {
        let pack = try TestPack(rawBytes: 20_000_000)
        let (origin, _) = try await startMirror(of: pack, ledger: nil)
        let region = try await RunningPeer(1, pack)
        var settings = FetchSettings()
        settings.ledger = MirrorLedgerSettings()
        try await region.start(FetchSources(mirrors: [try origin.endpoint]), settings: settings)
        let peer = try await RunningPeer(2, pack)
        try await peer.start(FetchSources(mirrors: [try region.server.endpoint]))
        #expect(await region.end() == nil)
        #expect(await peer.end() == nil)
        try peer.verify()
        #expect(peer.progress?.bytesFromMirrors == pack.totalBytes)
        #expect(region.fetcher?.shared.servedBytes == pack.totalBytes)
        for peer in [region, peer] { await peer.kill() }
        await origin.stop()
    }

    @Test func anEmptyArtifactIsFetchedToo() async throws {
        let pack = try TestPack(rawBytes: 0)
        let (mirror, _) = try await startMirror(of: pack)
        let peer = try await RunningPeer(1, pack)
        try await peer.start(FetchSources(mirrors: [try mirror.endpoint]))
        #expect(await peer.end() == nil)
        try peer.verify()
        await peer.kill()
        await mirror.stop()
    }

    @Test func aDiskThatIsTooSmallIsToldBeforeAnything() async throws {
        let pack = try TestPack(rawBytes: 1_000_000)
        let peer = try await RunningPeer(1, pack)
        var settings = FetchSettings()
        settings.file.minimumFreeBytes = 1 << 60
        await #expect {
            try await peer.start(FetchSources(), settings: settings)
        } throws: { error in
            (error as? TransferFailure)?.code == .full
        }
        #expect(!FileManager.default.fileExists(atPath: peer.finalPath + ".partial"))
        await peer.kill()
    }
}
