import Foundation
import Glibc
import Ports
import Processes
import Testing

/// The role `projector peer` by itself.
@Suite(.serialized) struct PeerTests {
    @Test func everyAddressNeedsOneToAdvertise() async throws {
        let system = try System()
        for host in ["0.0.0.0", "[::]"] {
            let done = try await system.run(
                try System.product("projector"),
                [
                    "peer", "--control", "http://127.0.0.1:1", "--listen", "\(host):0", "--insecure", "--data",
                    system.directory + "/none",
                ])
            #expect(done.code == 2)
            #expect(done.text.contains("--advertise"), "\(done.text)")
        }
    }

    /// A wrong `--control` does not look like a hang, and the port is the one that was asked for.
    @Test func aPeerWithoutARegionSaysSoOnceAndListensWhereItWasTold() async throws {
        let system = try System()
        let data = system.directory + "/peer"
        let port = try freePort()
        let identity = try system.processes.startDetached(
            ProcessSpecification(
                executable: try System.product("projector"),
                arguments: [
                    "peer", "--control", "http://127.0.0.1:1", "--listen", "127.0.0.1:\(port)", "--data", data,
                ],
                environment: ["PATH": "/usr/bin:/bin"], directory: system.directory,
                outputPath: system.directory + "/peer.log"))
        let log = try await eventually("a warning") {
            let text = (try? String(contentsOfFile: system.directory + "/peer.log", encoding: .utf8)) ?? ""
            return text.contains("not enrolled") ? text : nil
        }
        #expect(log.contains("warning") && log.contains("http://127.0.0.1:1"), "\(log)")
        let answer = try await system.run(
            "/usr/bin/curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port)/v1/packs/web/1"])
        #expect(answer.text == "404")
        try await Task.sleep(for: .seconds(3))
        let later = try String(contentsOfFile: system.directory + "/peer.log", encoding: .utf8)
        #expect(later.split(separator: "\n").filter { $0.contains("not enrolled") }.count == 1, "\(later)")
        await system.stop(identity)
    }
}
