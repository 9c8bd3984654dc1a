import Domain
import Foundation
import Swarm

@testable import Packs
@testable import Transfer

/// Valid inputs to begin with.
enum FuzzSeeds {
    /// A small pack in a directory of its own below TMPDIR.
    static func pack() throws -> (manifest: Manifest, path: String) {
        let directory = NSTemporaryDirectory() + "/drover-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
            .write(to: URL(filePath: "\(directory)/raw"))
        let request = PackRequest(
            app: AppName(unchecked: "web"), build: BuildID(rawValue: 7), attempt: .first,
            commit: String(repeating: "a", count: 40), repository: "https://example.org/web.git",
            run: RunSettings(command: nil),
            provenance: PackProvenance(
                worker: WorkerName(unchecked: "w1"), region: RegionName(unchecked: "r1"), builtAt: .zero,
                recipe: .zero, buildCommand: "make"))
        let path = "\(directory)/pack"
        return (try PackWriter().pack(artifact: "\(directory)/raw", to: path, request), path)
    }

    static func write(below directory: String) throws {
        let manifest = try pack().manifest
        for target in FuzzTarget.real {
            let place = "\(directory)/\(target.rawValue)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            for (number, bytes) in try seeds(of: target, manifest).enumerated() {
                target.take(bytes)
                try Data(bytes).write(to: URL(filePath: "\(place)/seed-\(number)"))
            }
        }
    }

    private static func seeds(of target: FuzzTarget, _ manifest: Manifest) throws -> [[UInt8]] {
        switch target {
        case .manifest: return [manifest.bytes, manifest.unsignedBytes]
        case .haves:
            let news = HaveStream.bytes(of: PieceSet(pieceCount: 1000, pieces: [1, 999]))
            return [[3, 232, 15] + PieceSet.all(pieceCount: 1000).bytes + news, [0, 1, 0, 128], [3, 232, 255]]
        case .range:
            return [
                "/v1/packs/web/7\nbytes=0-99", "/v1/packs/web/7/web-7.zst\nbytes=-5", "/v1/packs/web/7/haves\nbytes=9-",
                "/v1/packs/web/7/offer?after=5&wait=10s&wanted=1,2,3\n", "/v1/packs\n", "http://[::1]:9000\n",
                "/v1/packs/web/7/announce?port=9000&zone=a&rack=r7\n",
            ].map { Array($0.utf8) }
        case .requests:
            let head = "HTTP/1.1\r\nHost: x\r\nDrover-Peer: p1\r\n"
            return [
                "GET /v1/packs/web/7 \(head)Range: bytes=0-99\r\n\r\n", "HEAD /v1/packs/web/7/manifest \(head)\r\n",
                "GET /v1/packs/web/7/haves \(head)\r\n", "GET /v1/packs/web/7/torrent \(head)\r\n",
                "GET /v1/packs/web/7/offer?after=1&wait=1ms \(head)\r\nGET /v1/packs \(head)Connection: close\r\n\r\n",
                "GET /v1/packs/web/7 \(head)Range: bytes=-1\r\nIf-Range: \"x\"\r\n\r\n",
            ].map { Array($0.utf8) }
        case .answers:
            return [[1, 255] + [UInt8](repeating: 7, count: 1024), [0, 9] + [UInt8](repeating: 255, count: 129)]
        case .patch: return try patches()
        case .control: return []
        }
    }

    private static func patches() throws -> [[UInt8]] {
        let length = 2000
        let base = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
        var segment = base
        segment.replaceSubrange(700..<900, with: (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let whole = PatchEntry(copyOf: 0..<UInt64(length))
        let changed = PatchEntry(segment, window: base, ranges: [0..<UInt64(length)], effort: PatchEffort(.fast))
        return try [whole, changed].map {
            [UInt8(length >> 8), UInt8(length & 255)] + (try $0.encoded(window: base, level: 3))
        }
    }
}
