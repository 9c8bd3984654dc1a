import Foundation
import Swarm
import Synchronization
import Testing

@testable import Transfer

struct DebugTests {
    @Test func watch() async throws {
        let pack = try TestPack(rawBytes: 100_000_000)
        let (mirror, shared) = try await startMirror(of: pack)
        var peers: [RunningPeer] = []
        for number in 1...3 { peers.append(try await RunningPeer(number, pack)) }
        print("DBG start \(ContinuousClock.now) pieces \(pack.pieceCount)")
        for peer in peers {
            let others = try peers.filter { $0.name != peer.name }.map { try $0.server.endpoint }
            try await peer.start(FetchSources(mirrors: [try mirror.endpoint], neighbours: others))
        }
        for _ in 0..<240 {
            try await Task.sleep(for: .milliseconds(500))
            let text = peers.map { peer in
                let p = peer.fetcher!.state.withLock { s in
                    "v=\(s.picker.verified.count) req=\(s.picker.requests.count) chk=\(s.picker.checking.count) starved=\(s.picker.starvedSince != nil) "
                        + s.picker.sources.sorted { $0.key < $1.key }.map { "[\($0.value.kind) have=\($0.value.have.count) r=\($0.value.requests) f=\($0.value.failures) ref=\($0.value.refusals) silent=\($0.value.isSilent) offer=\({ if case .pieces(let p) = $0 { return "\(p.count)" } else { return "?" } }($0.value.offer))]" }.joined()
                }
                return p
            }
            print("DBG \(ContinuousClock.now)\n   " + text.joined(separator: "\n   "))
            if peers.allSatisfy({ $0.progress?.isComplete == true }) { break }
        }
        print("DBG end copies", Double(shared.servedBytes) / Double(pack.totalBytes))
        for peer in peers { await peer.kill() }
        await mirror.stop()
    }
}
