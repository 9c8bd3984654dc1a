import Domain
import Foundation
import Ports
import Processes

/// An agent's files:
///
///     packs/ID.pack               fetched packs, shared with other peers
///     manifests/DIGEST            their signed manifests
///     apps/APP/state.json         what the app's machine knows
///     apps/APP/process.json       the process that runs, or is being started
///     apps/APP/builds/ID/binary   verified, executable
///     apps/APP/current            a link to the build that runs
///     apps/APP/output.log         what it prints
///     release-key.pub
struct AgentDirectory: Sendable {
    let root: String

    func app(_ app: AppName) -> String { "\(root)/apps/\(app)" }
    func pack(_ build: BuildID) -> String { "\(root)/packs/\(build).pack" }
    func manifest(_ digest: Digest) -> String { "\(root)/manifests/\(digest)" }
    func build(_ app: AppName, _ build: BuildID) -> String { "\(self.app(app))/builds/\(build)" }
    func binary(_ app: AppName, _ build: BuildID) -> String { "\(self.build(app, build))/binary" }
    func manifestName(_ app: AppName, _ build: BuildID) -> String { "\(self.build(app, build))/manifest" }
    func state(_ app: AppName) -> String { "\(self.app(app))/state.json" }
    func process(_ app: AppName) -> String { "\(self.app(app))/process.json" }
    func output(_ app: AppName) -> String { "\(self.app(app))/output.log" }

    func prepare() throws {
        for name in ["packs", "manifests", "apps"] { try make("\(root)/\(name)") }
    }

    func make(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// Apps that this agent has ever been told of.
    func apps() -> [AppName] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/apps")) ?? []
        return names.compactMap { AppName(rawValue: $0) }.sorted()
    }

    /// Builds that are whole on this disk: the manifest is written last.
    func keptBuilds(of app: AppName) -> [BuildID] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(self.app(app))/builds")) ?? []
        return names.compactMap { BuildID($0) }.sorted().filter {
            FileManager.default.fileExists(atPath: manifestName(app, $0))
        }
    }

    func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// Replaces a file durably: whoever reads it finds the old bytes or the new ones, whatever crashes.
    func write(_ bytes: Data, to path: String) throws {
        let temporary = path + ".new"
        guard FileManager.default.createFile(atPath: temporary, contents: nil),
            let handle = FileHandle(forWritingAtPath: temporary)
        else { throw AgentFailure("cannot write \(temporary): is the disk full, or the directory not ours?") }
        try handle.write(contentsOf: bytes)
        try handle.synchronize()
        try handle.close()
        try renameReplacing(temporary, to: path)
    }

    /// Points `current` at a build, in one step.
    func switchCurrent(_ app: AppName, to build: BuildID) throws {
        let temporary = "\(self.app(app))/current.new"
        remove(temporary)
        try FileManager.default.createSymbolicLink(atPath: temporary, withDestinationPath: "builds/\(build)")
        try renameReplacing(temporary, to: "\(self.app(app))/current")
    }
}

/// What an agent cannot do, in one sentence that says what to do.
struct AgentFailure: Error, CustomStringConvertible {
    let description: String
    /// Trying again will not help.
    let isFinal: Bool

    init(_ description: String, isFinal: Bool = false) {
        (self.description, self.isFinal) = (description, isFinal)
    }
}
