import Client
import Domain
import Foundation
import Ports
import Testing
import Wire

/// A log that comes back older than what stands beside it, as from a disk that lost a page or from a copy put in its
/// place: whoever starts over it is told, instead of views that are silently made again.
@Suite(.serialized) struct LostTailTests {
    private func enqueue(_ numbers: ClosedRange<Int>, at url: String) async throws -> ClientFailure? {
        let client = GlobalClient(endpoint: url, actor: .person("test"), settings: .withoutRetries)
        for number in numbers {
            let commit = try #require(CommitID(rawValue: String(format: "%040x", number)))
            do throws(ClientFailure) {
                _ = try await client.enqueue(
                    JobRequest(app: AppName(unchecked: "web"), repository: "/srv/web", commit: commit))
            } catch { return error }
        }
        return nil
    }

    /// - Parameter ahead: what is left beside the log.
    @Test(arguments: ["views.sqlite", "store"]) func aLogBehindWhatIsBesideItIsForked(ahead: String) async throws {
        let system = try System()
        let (files, data) = (FileManager.default, system.directory + "/data")
        var arguments = ["global", "--data", data, "--listen", "127.0.0.1:0"]
        if ahead == "store" { arguments += ["--backup-to", system.directory + "/store"] }
        var (global, url) = try await system.start(arguments)
        #expect(try await enqueue(1...3, at: url) == nil)
        await system.stop(global)
        try files.copyItem(atPath: data + "/log", toPath: system.directory + "/old")
        (global, url) = try await system.start(arguments)
        #expect(try await enqueue(4...6, at: url) == nil)
        let head = try await system.client(url).status().sequence
        let address = url
        _ = try await eventually("what is beside the log follows") {
            let status = try await system.client(address).status()
            let rows = try await system.client(address).query("SELECT count(*) FROM jobs").rows
            guard ahead == "views.sqlite" || status.backup?.sequence ?? .zero >= head else { return nil as Bool? }
            return rows == [[.integer(6)]] ? true : nil
        }
        await system.stop(global)
        try files.removeItem(atPath: data + "/log")
        try files.copyItem(atPath: system.directory + "/old", toPath: data + "/log")
        if ahead != "views.sqlite" {
            for name in try files.contentsOfDirectory(atPath: data) where name.hasPrefix("views.sqlite") {
                try files.removeItem(atPath: "\(data)/\(name)")
            }
        }
        try? files.removeItem(atPath: data + "/snapshots")
        (global, url) = try await system.start(arguments)
        // A backup is asked a little later than views: until then nobody can know.
        let refused = url
        let failure = try await eventually("commands are refused") { try await enqueue(7...7, at: refused) }
        guard case .problem(let problem) = failure else { throw failure }
        let seen = ahead == "store" ? "the backup holds events" : "the SQL views are at epoch 1"
        #expect(problem.code == RefusalCode.forked.rawValue && "\(problem)".contains(seen), "\(problem)")
        await system.stop(global)
        #expect(files.fileExists(atPath: data + "/forked"))
        (global, url) = try await system.start(arguments + ["--new-epoch"])
        #expect(try await enqueue(8...8, at: url) == nil)
        await system.stop(global)
    }
}
