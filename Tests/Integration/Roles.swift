import Domain
import Foundation
import Glibc
import Ports
import Processes
import Testing

/// One role in a process of its own: what was started, and what to start again.
struct Role {
    var arguments: [String]
    var environment: [String: String] = [:]
    var identity: ProcessIdentity
    /// Where it answers; for a worker and a peer, whom they follow.
    var url: String
}

extension System {
    /// Leases short enough to end in a test: a worker speaks every second, and is given up after three.
    static let shortLeases = ["--heartbeat-seconds", "1", "--lease-seconds", "3"]

    func global(_ more: [String] = shortLeases, environment: [String: String] = [:]) async throws -> Role {
        try await role(
            ["global", "--data", directory + "/global", "--listen", "127.0.0.1:0"] + more, environment: environment)
    }

    func region(_ name: String, of global: Role, _ more: [String] = []) async throws -> Role {
        try await role(
            [
                "region", "--name", name, "--data", "\(directory)/regions/\(name)", "--control", global.url, "--listen",
                "127.0.0.1:0",
            ] + more)
    }

    func worker(_ name: String, region: String, of global: Role, _ more: [String] = []) async throws -> Role {
        try await role(
            [
                "worker", "--name", name, "--region", region, "--data", "\(directory)/workers/\(name)", "--control",
                global.url,
            ] + more)
    }

    func peer(_ name: String, of region: Role) async throws -> Role {
        try await role(["peer", "--name", name, "--data", "\(directory)/peers/\(name)", "--control", region.url])
    }

    private func role(_ arguments: [String], environment: [String: String] = [:]) async throws -> Role {
        var arguments = arguments
        let (identity, url) = try await start(arguments, environment: environment)
        // The next one takes the same port: the others know no other.
        if let flag = arguments.firstIndex(of: "--listen") {
            arguments[flag + 1] = String(url.dropFirst("http://".count))
        }
        return Role(arguments: arguments, environment: environment, identity: identity, url: url)
    }

    /// Starts a role again where it was.
    func restart(_ role: inout Role, _ more: [String] = []) async throws {
        (role.identity, _) = try await start(role.arguments + more, environment: role.environment)
    }

    func stop(_ role: Role, _ signal: Int32 = SIGTERM) async { await stop(role.identity, signal) }

    func signal(_ role: Role, _ number: Int32) { processes.signal(role.identity, number) }

    // MARK: Steps that many tests take

    /// Builds a commit with `drover build --wait`; its number.
    @discardableResult
    func build(_ commit: String, of repository: String, app: String = "app", at global: Role) async throws -> BuildID {
        let done = try await drover(
            ["build", "--repository", repository, "--commit", commit, "--app", app, "--wait", "--json"],
            server: global.url)
        try #require(done.code == 0, "\(done.text)")
        let line = try #require(done.text.split(separator: "\n").last { $0.hasPrefix("{") })
        let body = try JSONDecoder().decode(NumberedBody.self, from: Data(line.utf8))
        return BuildID(rawValue: body.id)
    }

    /// Deploys, recorded until it is replicated, and waits for the end.
    func deploy(_ build: BuildID, app: String = "app", at global: Role) async throws {
        let done = try await drover(
            [
                "deploy", app, "--build", "\(build)", "--reason", "test", "--when-replicated", "--wait", "--timeout",
                "3m",
            ], server: global.url)
        try #require(done.code == 0, "\(done.text)")
    }

    /// What the binary that a peer has made current says of its version.
    func version(on peer: String, app: String = "app", _ flag: String = "--version") async throws -> String {
        try await run("\(directory)/peers/\(peer)/apps/\(app)/current/binary", [flag]).text
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A child of an app's shell is the shell's copy for a moment: only a session's leader is a copy of the app.
    private static func leadsSession(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        // After the name in parentheses: state, parent, group, session.
        let fields = status[(status.lastIndex(of: ")") ?? status.startIndex)...].split(separator: " ")
        return fields.count > 4 && fields[4] == "\(pid)"
    }

    /// The running copies of apps, by process number, with the peer and app each belongs to: `PEER/apps/APP`.
    func appProcesses() throws -> [Int32: String] {
        let marker = "DROVER_BINARY=\(directory)/"
        var found: [Int32: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let pid = Int32(name), Self.leadsSession(pid),
                let bytes = FileManager.default.contents(atPath: "/proc/\(name)/environ"),
                let words = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
                words.range(of: Data("/binary".utf8)) != nil
            else { continue }
            let variables = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            guard let path = variables.first(where: { $0.hasPrefix(marker) })?.dropFirst(marker.count) else { continue }
            let parts = path.split(separator: "/")
            guard let peer = parts.firstIndex(of: "peers"), parts.count > peer + 3 else { continue }
            found[pid] = parts[(peer + 1)...(peer + 3)].joined(separator: "/")
        }
        return found
    }
}

/// Of `drover build --json`, the part that is needed here.
private struct NumberedBody: Decodable {
    var id: UInt64
}
