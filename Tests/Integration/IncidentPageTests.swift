import Foundation
import Testing

/// `docs/incidents.md` as a newcomer follows it: each of its commands prints what stands there.
@Suite struct IncidentPageTests {
    /// `DROVER_REWRITE=1` writes what the commands print into the page, and the scenario that it makes.
    private static let rewrites = ProcessInfo.processInfo.environment["DROVER_REWRITE"] == "1"
    private static let page = Tree.root.appending(path: "docs/incidents.md")
    private static let regression = Tree.root.appending(path: "seeds/regressions/region-left-behind")

    /// A command of the page, or text between commands.
    private enum Part: Equatable {
        case text(String)
        /// As typed, continuation lines included; and what it prints.
        case command([String], prints: [String])
    }

    private func parts(_ page: String) -> [Part] {
        var (parts, isConsole) = ([Part](), false)
        for line in page.components(separatedBy: "\n") {
            if line.hasPrefix("```") { isConsole = line == "```console" }
            if isConsole, line.hasPrefix("$ ") {
                parts.append(.command([line], prints: []))
            } else if isConsole, case .command(let typed, let prints)? = parts.last {
                let isMore = prints.isEmpty && line.hasPrefix("> ")
                parts[parts.count - 1] = .command(
                    typed + (isMore ? [line] : []), prints: prints + (isMore ? [] : [line]))
            } else {
                parts.append(.text(line))
            }
        }
        return parts
    }

    private func run(_ typed: [String], in system: System) async throws -> [String] {
        let bin = URL(filePath: try System.product("drover")).deletingLastPathComponent().path
        let command = typed.map { $0.dropFirst(2) }.joined(separator: "\n")
        let done = try await system.run(
            "/bin/sh", ["-c", "\(command) 2>&1"], ["PATH": "\(bin):/usr/bin:/bin", "NO_COLOR": "1"])
        #expect(done.code == 0, "\(typed.joined()): \(done.text)")
        return done.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    @Test func everyCommandPrintsWhatStandsThere() async throws {
        let system = try System()
        try FileManager.default.createSymbolicLink(
            atPath: system.directory + "/seeds", withDestinationPath: Tree.root.appending(path: "seeds").path)
        var (lines, commands) = ([String](), 0)
        for part in parts(try String(contentsOf: Self.page, encoding: .utf8)) {
            switch part {
            case .text(let line): lines.append(line)
            case .command(let typed, let prints):
                commands += 1
                let found = try await run(typed, in: system)
                if !Self.rewrites { #expect(found == prints, "\(typed.joined(separator: " "))") }
                lines += typed + found
            }
        }
        #expect(commands > 10)
        let core = URL(filePath: system.directory).appending(path: "incident/core")
        if Self.rewrites {
            try Data(lines.joined(separator: "\n").utf8).write(to: Self.page)
            try? FileManager.default.removeItem(at: Self.regression)
            try FileManager.default.copyItem(at: core, to: Self.regression)
            let about = Self.regression.appending(path: "README.md")
            let text = try String(contentsOf: about, encoding: .utf8).replacing("# core", with: "# region-left-behind")
                .replacing("incident/core", with: "seeds/regressions/region-left-behind")
            try Data(text.utf8).write(to: about)
        }
        try theRegressionIsWhatThePageMakes(core)
    }

    /// Byte for byte, but for the page's title and place; and it has fewer than 20 events.
    private func theRegressionIsWhatThePageMakes(_ core: URL) throws {
        func files(_ folder: URL) throws -> [String: Data] {
            var files: [String: Data] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path) where name != "README.md" {
                files[name] = try? Data(contentsOf: folder.appending(path: name))
            }
            return files
        }
        let made = try files(core)
        #expect(try made == files(Self.regression))
        let log = try #require(made["global/log.ndjson"])
        let events = String(decoding: log, as: UTF8.self).split(separator: "\n").filter { $0.contains("\"type\":") }
        #expect((2..<20).contains(events.count), "\(events.count) events")
    }
}
