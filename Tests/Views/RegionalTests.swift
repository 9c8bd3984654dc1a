import Codec
import Domain
import Testing

@testable import Views

/// A regional log's views at every sequence against the state folded to it.
struct RegionalTests {
    @Test(arguments: seeds(4))
    func everySequenceSaysWhatTheFoldSays(seed: UInt64) async throws {
        let history = try RegionalHistory.random(seed: seed, steps: 250)
        let scratch = try Scratch()
        let views = try scratch.regionalViews()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        for (sequence, state) in history.states.enumerated() {
            for (sql, expected) in Self.expected(state) {
                let found = try await views.query(sql, at: LogSequence(rawValue: UInt64(sequence)))
                try #require(found.lines == expected, "seed \(seed), sequence \(sequence): \(sql)")
            }
        }
        for (sql, expected) in Self.expected(history.state) {
            #expect(try await views.query(sql).lines == expected, "seed \(seed), now: \(sql)")
        }
        #expect(try await views.difference(from: history.log) == nil)
    }

    @Test(arguments: seeds(3))
    func aGlobalSequenceIsFoundInTheRegionsOwnLog(seed: UInt64) async throws {
        let history = try RegionalHistory.random(seed: seed, steps: 120)
        let scratch = try Scratch()
        let views = try scratch.regionalViews()
        defer { views.close() }
        try await views.catchUp(from: history.log)
        // What each event leaves adopted: the newest global sequence named so far, set back by a refollow.
        var (adopted, now): ([UInt64], UInt64) = ([0], 0)
        for frame in history.log.all.flatMap(\.frames) {
            switch try history.codec.decode(frame)?.event {
            case .taken(_, let global)?: now = global.rawValue
            case .followed(let position)?, .refollowed(let position)?: now = position.sequence.rawValue
            default: break
            }
            adopted.append(now)
        }
        let greatest = adopted.max() ?? 0
        for global in 0...(greatest + 1) {
            let local = try await views.localSequence(ofGlobal: LogSequence(rawValue: global))
            let expected = adopted.lastIndex { $0 <= global }
            #expect(local.rawValue == expected.map(UInt64.init), "seed \(seed), global \(global)")
        }
    }

    private static func expected(_ state: RegionState) -> [(String, [String])] {
        [
            (
                "SELECT build, app, status, attempt, settled, manifest, packed_bytes, sources FROM packs ORDER BY build",
                state.packs.sorted { $0.key < $1.key }.map { build, pack in
                    "\(build)|\(pack.app)|\(pack.phase.rawValue)|\(pack.attempt)|\(pack.isSettled ? 1 : 0)|"
                        + "\(pack.manifest)|\(pack.packedBytes)|\(pack.sources.map(\.rawValue).joined(separator: ","))"
                }
            ),
            (
                "SELECT app, scope, current_build, revision FROM targets ORDER BY app",
                state.targets.sorted { $0.key < $1.key }.map { app, target in
                    "\(app)|\(target.scope)|\(target.current.build)|\(target.revision)"
                }
            ),
            (
                "SELECT name, status, endpoint FROM regions ORDER BY name",
                state.neighbours.sorted { $0.key < $1.key }.map { "\($0)|\($1.status.rawValue)|\($1.endpoint)" }
            ),
            (
                "SELECT name, json_extract(labels, '$.zone'), endpoint, status FROM peers ORDER BY name",
                state.peers.sorted { $0.key < $1.key }.map { name, peer in
                    "\(name)|\(peer.labels["zone"] ?? "")|\(peer.endpoint)|\(peer.isSilent ? "silent" : "live")"
                }
            ),
            (
                "SELECT peer, app, build, revision, health, detail FROM peer_apps ORDER BY peer, app",
                state.peers.sorted { $0.key < $1.key }.flatMap { name, peer in
                    peer.apps.sorted { $0.key < $1.key }.map { app, report in
                        "\(name)|\(app)|\(report.build.map { "\($0)" } ?? "")|\(report.revision)|"
                            + "\(report.health.rawValue)|\(report.detail)"
                    }
                }
            ),
        ]
    }
}
