import Foundation
import Testing

/// `drover whatif --reducers`: another drover decides the same commands, as a process.
@Suite struct ReducersTests {
    private static let log = Tree.root.appending(path: "seeds/scenarios/incident/global/log.ndjson").path

    private func whatif(_ other: String, _ more: String..., in system: System) async throws -> (
        code: Int32, text: String
    ) {
        try await system.run(
            try System.product("drover"), ["whatif", Self.log, "--reducers", other] + more, ["NO_COLOR": "1"])
    }

    /// A drover of its own: this one, with something else.
    private func program(_ script: String, in system: System) throws -> String {
        let path = system.directory + "/other-\(UUID().uuidString)"
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    @Test func twoProgramsAreCompared() async throws {
        let system = try System()
        let drover = try System.product("drover")
        let same = try await whatif(drover, in: system)
        #expect(same.code == 0 && same.text.contains("nothing differs: both come to the same"), "\(same.text)")
        #expect(same.text.contains("this version: reducers ") && same.text.contains("\(drover): reducers "))
        // Under the same other settings they agree as well.
        let set = try await whatif(drover, "--set", "lease-seconds=2", in: system)
        #expect(set.code == 0 && set.text.contains("nothing differs"), "\(set.text)")

        let other = try program("exec \(drover) \"$@\" --set lease-seconds=2", in: system)
        let differs = try await whatif(other, in: system)
        #expect(differs.code == 0, "\(differs.text)")
        #expect(differs.text.contains("the first that \(other) decides otherwise"), "\(differs.text)")
        #expect(differs.text.contains("lease_seconds: 4 -> 2"), "\(differs.text)")
        let json = try await whatif(other, "--json", in: system)
        #expect(json.code == 0 && json.text.contains(#""other_reducers":""#), "\(json.text)")
    }

    @Test func otherProgramsAreRefused() async throws {
        let system = try System()
        let missing = try await whatif("/nowhere/drover", in: system)
        #expect(missing.code == 2 && missing.text.contains("name another drover's executable file"), "\(missing.text)")
        let old = try program("echo \"Unknown option '--output'\"; exit 64", in: system)
        let failed = try await whatif(old, in: system)
        #expect(failed.code == 1 && failed.text.contains("Unknown option '--output'"), "\(failed.text)")
        let silent = try await whatif(try program("exit 0", in: system), in: system)
        #expect(silent.code != 0, "\(silent.text)")
    }
}
