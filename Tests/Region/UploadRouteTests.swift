import Blobs
import Domain
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Ports
import Projectors
import Serving
import Testing
import Transfer
import Wire

@testable import Region

extension TestRegion {
    fileprivate var api: RegionAPI {
        let clock = FixedClock()
        return RegionAPI(
            name: here, engine: engine, keeper: keeper, presence: Presence(clock: clock),
            swarms: SwarmDirectory(seed: 1, clock: clock), settings: ServingSettings(), metrics: MetricsRegistry(),
            logger: quietLogger, releaseKey: { nil }, mirrorEndpoint: { "http://127.0.0.1:1" },
            manifestBytes: { _ in [] }, notReady: { nil })
    }

    fileprivate func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        try await Application(router: api.router()).test(.router) { try await body($0) }
    }
}

private struct FixedClock: ClockSource {
    func read() -> ClockReading { ClockReading(wallMilliseconds: 0, monotonicMilliseconds: 0) }
}

extension TestClientProtocol {
    fileprivate func put(_ path: String, _ bytes: [UInt8]) async throws -> (status: Int, body: Data) {
        let response = try await execute(
            uri: path, method: .put, headers: [.contentType: "application/octet-stream"], body: ByteBuffer(bytes: bytes)
        )
        return (response.status.code, Data(response.body.readableBytesView))
    }

    fileprivate func get(_ path: String) async throws -> (status: Int, body: Data) {
        let response = try await execute(uri: path, method: .get)
        return (response.status.code, Data(response.body.readableBytesView))
    }

    /// Sends a whole pack in one part; the offset answered, or the status.
    fileprivate func upload(_ build: UInt64, _ bytes: [UInt8]) async throws -> UInt64 {
        let (status, body) = try await put("/v1/uploads/\(build)/1?offset=0&total=\(bytes.count)", bytes)
        try #require(status == 200, "\(String(decoding: body, as: UTF8.self))")
        return try WireJSON.decode(UploadAnswer.self, from: body).offset
    }
}

@Suite("What workers bring to a region")
struct UploadRouteTests {
    @Test("a pack that another branch of the global log left under the same number is replaced")
    func otherBranch() async throws {
        try await TestRegion.run { region in
            try await region.serve { client async throws in
                #expect(try await client.upload(1, [1, 2, 3]) == 3)
                #expect(try await client.upload(1, [1, 2, 3]) == 3, "the same again")
                #expect(try await client.upload(1, [4, 5]) == 2)
                #expect(try await region.store.read(RegionKey.pack(build(1), .first), offset: 0, count: 9) == [4, 5])
            }
        }
    }

    @Test("the pack that the log knows is never replaced")
    func known() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await region.take(pack.uploadedFact())
            try await region.put(pack)
            try await region.serve { client async throws in
                #expect(try await client.upload(1, [1, 2, 3]) == UInt64(pack.bytes.count))
                #expect(try await region.store.information(RegionKey.pack(build(1), .first))?.bytes != 3)
            }
        }
    }

    @Test("a whole file of another length than the log knows begins anew")
    func otherLength() async throws {
        try await TestRegion.run { region in
            let pack = try TestPack(1, rawBytes: 70_000)
            try await region.take(pack.uploadedFact())
            try await region.store.put(RegionKey.pack(build(1), .first), bytes: 2, from: OneChunk([1, 2]))
            try await region.serve { client async throws in
                #expect(try await client.get("/v1/uploads/1/1").status == 404)
                #expect(try await client.upload(1, pack.bytes) == UInt64(pack.bytes.count))
            }
        }
    }

    @Test("an upload of another length goes on from nothing")
    func otherUpload() async throws {
        try await TestRegion.run { region in
            try await region.serve { client async throws in
                #expect(try await client.put("/v1/uploads/1/1?offset=0&total=10", [1, 2]).status == 200)
                #expect(try await client.upload(1, [7, 8, 9]) == 3)
            }
        }
    }

    @Test("output that is begun again replaces what followed")
    func output() async throws {
        try await TestRegion.run { region in
            try await region.serve { client async throws in
                for object in 0..<4 as Range<UInt8> {
                    #expect(try await client.put("/v1/logs/1/1/\(object)", [object]).status == 204)
                    #expect(try await client.put("/v1/logs/1/2/\(object)", [object]).status == 204)
                }
                #expect(try await client.put("/v1/logs/1/1/0", [0]).status == 204, "the same again changes nothing")
                #expect(try await client.get("/v1/logs/1/1/3").status == 200)
                #expect(try await client.put("/v1/logs/1/1/1", [99]).status == 204)
                #expect(try await client.get("/v1/logs/1/1/0").body == Data([0]))
                #expect(try await client.get("/v1/logs/1/1/1").body == Data([99]))
                #expect(try await client.get("/v1/logs/1/1/2").status == 404)
                #expect(try await client.get("/v1/logs/1/2/3").body == Data([3]), "another attempt is let alone")
            }
        }
    }
}
