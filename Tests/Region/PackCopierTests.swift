import Blobs
import Domain
import Engine
import Foundation
import Hummingbird
import HummingbirdTesting
import Packs
import Swarm
import Synchronization
import Testing
import Transfer

@testable import Region

@Suite("Packs copied from other regions", .timeLimit(.minutes(5)))
struct PackCopierTests {
    /// A mirror that has the pack, at an endpoint.
    private func withMirror(
        of pack: TestPack, in region: TestRegion, _ body: (String) async throws -> Void
    ) async throws {
        let shelf = PackShelf()
        let path = region.scratch.path + "/source"
        try Data(pack.bytes).write(to: URL(filePath: path))
        let count = pack.manifest.pieces.count
        let shared = try SharedPack(
            manifest: pack.manifest, paths: [path], verified: PieceSet(pieceCount: count, pieces: 0..<count),
            clock: SystemClock())
        shelf.put(shared, as: pack.manifest.packName)
        let server = try await PieceServer.bind(
            PieceServerSettings(uploadSlots: 8), catalog: shelf, logger: quietLogger)
        try await during({ await server.run() }) { try await body("http://\(server.address)") }
    }

    private func copy(_ pack: TestPack, in region: TestRegion, from endpoints: [String]) async throws {
        var copier = PackCopier(memory: ByteBudget(bytes: 1 << 20), logger: quietLogger)
        copier.pieceMilliseconds = 4000
        let upload = try await region.keeper.beginUpload(pack.build, .first, bytes: UInt64(pack.bytes.count))
        try await copier.copy(pack.manifest, pack.manifest.packName, into: upload, from: endpoints)
        try await upload.finish(as: RegionKey.pack(pack.build, .first))
    }

    @Test("a source that never answers gives way to one that does")
    func slowSource() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 1_500_000)
            let (asked, isOver) = (Gauge(), Gauge())
            let router = Router()
            router.get("/v1/packs/**") { _, _ -> Response in
                asked.add(1)
                while isOver.most == 0 { try await Task.sleep(for: .milliseconds(20)) }
                return Response(status: .ok)
            }
            try await withMirror(of: pack, in: region) { mirror in
                try await Application(
                    router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0))
                ).test(.live) { client in
                    let slow = "http://127.0.0.1:\(try #require(client.port))"
                    try await copy(pack, in: region, from: [slow, mirror])
                    isOver.add(1)
                }
            }
            #expect(try await region.holds(pack.build))
            #expect(asked.most > 0)
        }
    }

    @Test("memory is shared in turn, and a wait that is cancelled takes nothing")
    func budget() async throws {
        let budget = ByteBudget(bytes: 100)
        let gauge = Gauge()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try? await budget.with(40) {
                        gauge.add(40)
                        try await Task.sleep(for: .milliseconds(2))
                        gauge.add(-40)
                    }
                }
            }
        }
        #expect(gauge.most == 80)
        try await budget.with(1000) {
            let waiting = Task { try await budget.with(1) {} }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
        try await budget.with(100) {}
    }
}

private final class Gauge: Sendable {
    private let state = Mutex((now: 0, most: 0))

    var most: Int { state.withLock { $0.most } }

    func add(_ amount: Int) {
        state.withLock { $0 = ($0.now + amount, max($0.most, $0.now + amount)) }
    }
}
