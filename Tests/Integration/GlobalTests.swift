import Foundation
import Glibc
import Ports
import Testing

/// The global role as an operator meets it: flags, a forked log, its stop.
@Suite struct GlobalTests {
    private let system: System
    private var data: String { system.directory + "/data" }

    init() throws { system = try System() }

    private func start(_ flags: String...) async throws -> (ProcessIdentity, String) {
        try await system.start(["global", "--data", data, "--listen", "127.0.0.1:0"] + flags)
    }

    private func curl(_ arguments: String...) async throws -> String {
        try await system.run("/usr/bin/curl", ["-s"] + arguments).text
    }

    private func enqueue(_ url: String) async throws -> String {
        let commit = String(repeating: "a", count: 40)
        let body = #"{"app":"web","repository":"/srv/web","commit":"\#(commit)"}"#
        return try await curl("-H", "Content-Type: application/json", "-d", body, url + "/v1/jobs")
    }

    /// What would let a restart go on with a log that others have seen more of.
    @Test func aForkedLogStaysSoUntilANewEpoch() async throws {
        let (first, _) = try await start()
        await system.stop(first)
        try Data("a region follows this log at epoch 1, sequence 99: restart with --new-epoch".utf8)
            .write(to: URL(filePath: data + "/forked"))
        let (second, url) = try await start()
        #expect(try await enqueue(url).contains(#""code":"forked""#))
        #expect(try await curl(url + "/readyz").contains("sequence 99"))
        await system.stop(second)
        let (third, again) = try await start("--new-epoch", "--new-epoch-reason", "they are gone")
        #expect(try await enqueue(again).contains(#""job":1"#))
        #expect(try await curl(again + "/v1/status").contains(#""epoch":2"#))
        #expect(try await curl(again + "/v1/events?after=0").contains("they are gone"))
        #expect(!FileManager.default.fileExists(atPath: data + "/forked"))
        await system.stop(third)
    }

    @Test(arguments: [
        (["--lease-seconds", "5"], "heartbeat-seconds (15) is longer than lease-seconds (5)"),
        (["--new-epoch", "--new-epoch-reason", String(repeating: "x", count: 501)], "--new-epoch-reason"),
    ])
    func whatCannotBeIsAUsageError(flags: [String], message: String) async throws {
        let done = try await system.run(
            try System.product("projector"), ["global", "--data", data, "--listen", "127.0.0.1:0"] + flags)
        #expect(done.code == 2)
        #expect(done.text.contains(message), "\(done.text)")
    }

    /// Nobody would trust a build that another key has signed.
    @Test func aLostReleaseKeyIsNotReplaced() async throws {
        let (everything, url) = try await system.start(
            ["--data", data, "--listen", "127.0.0.1:0", "--regions", "1", "--peers", "0"])
        let repository = try await system.repository(versions: 1).path
        let built = try await system.drover(
            ["build", "--repository", repository, "--commit", "main", "--app", "app", "--wait"], server: url)
        #expect(built.code == 0, "\(built.text)")
        await system.stop(everything)
        let key = data + "/global/release.key"
        try FileManager.default.moveItem(atPath: key, toPath: key + ".backup")
        let arguments = ["global", "--data", data + "/global", "--listen", "127.0.0.1:0"]
        let refused = try await system.run(try System.product("projector"), arguments)
        #expect(refused.code == 1)
        #expect(refused.text.contains("restore it from its backup"), "\(refused.text)")
        try FileManager.default.moveItem(atPath: key + ".backup", toPath: key)
        let (again, _) = try await system.start(arguments)
        await system.stop(again)
    }

    /// Idle connections, long polls and streams end; nothing of it is an error.
    @Test func aStopIsQuiet() async throws {
        let (identity, url) = try await start()
        let headers = ["-H", "Content-Type: application/json"]
        _ = try await curl(
            "-X", "POST", headers[0], headers[1], "-d", #"{"endpoint":"http://x"}"#,
            url + "/v1/regions/one/join")
        _ = try await curl(
            "-X", "POST", headers[0], headers[1], "-d", #"{"region":"one"}"#,
            url + "/v1/workers/w/join")
        async let claim = system.run(
            "/usr/bin/curl",
            ["-s", "-X", "POST", headers[0], headers[1], "-d", #"{"wait":"30s"}"#, url + "/v1/workers/w/claim"])
        async let feed = curl(url + "/v1/feed?region=one&wait=30s")
        async let stream = curl("-N", url + "/v1/events?follow=true")
        try await Task.sleep(for: .seconds(1))
        let asked = ContinuousClock.now
        await system.stop(identity)
        #expect(asked.duration(to: .now) < .seconds(15))
        _ = try await (claim, feed, stream)
        let output = try String(contentsOfFile: system.directory + "/output.log", encoding: .utf8)
        #expect(!output.contains("error"), "\(output)")
    }
}
