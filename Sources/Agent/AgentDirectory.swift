import Domain
import Foundation
import Packs
import Ports
import Processes

/// An agent's files; `Schemas/formats.md` describes them. BUILD is `ID-` and the first digits of the manifest's digest:
///
///     packs/BUILD.pack               fetched packs, shared with other peers
///     manifests/DIGEST               their signed manifests
///     apps/APP/state.json            what the app's machine knows
///     apps/APP/process.json          the process that runs, or is being started
///     apps/APP/builds/BUILD/binary   verified, executable
///     apps/APP/builds/BUILD/manifest written last
///     apps/APP/current               a link to the build that runs
///     apps/APP/output.log            what it prints
///     release-key.pub
struct AgentDirectory: Sendable {
    let root: String

    func app(_ app: AppName) -> String { "\(root)/apps/\(app)" }
    func pack(_ build: ProvedBuild) -> String { "\(root)/packs/\(build.fileName).pack" }
    func manifest(_ digest: Digest) -> String { "\(root)/manifests/\(digest)" }
    func build(_ app: AppName, _ build: ProvedBuild) -> String { "\(self.app(app))/builds/\(build.fileName)" }
    func binary(_ app: AppName, _ build: ProvedBuild) -> String { "\(self.build(app, build))/binary" }
    func manifestName(_ app: AppName, _ build: ProvedBuild) -> String { "\(self.build(app, build))/manifest" }
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
    func apps() -> [AppName] { names(in: "\(root)/apps").compactMap { AppName(rawValue: $0) } }

    /// Ascending; none where there is no such directory.
    func names(in path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    /// Builds that are whole on this disk: the manifest is written last.
    func keptBuilds(of app: AppName) -> [ProvedBuild] {
        let builds = names(in: "\(self.app(app))/builds").compactMap { name -> ProvedBuild? in
            let path = "\(self.app(app))/builds/\(name)/manifest"
            guard let data = FileManager.default.contents(atPath: path),
                let manifest = try? Manifest.decode([UInt8](data)), manifest.facts.app == app
            else { return nil }
            let build = ProvedBuild(build: manifest.facts.build, manifest: manifest.digest)
            return build.fileName == name ? build : nil
        }
        return builds.sorted { ($0.build, $0.manifest) < ($1.build, $1.manifest) }
    }

    /// What the app's machine last wrote down; nil when that cannot be read.
    func machine(_ app: AppName) -> AppMachine? {
        guard let data = FileManager.default.contents(atPath: state(app)),
            let machine = try? JSONDecoder().decode(AppMachine.self, from: data), machine.app == app
        else { return nil }
        return machine
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
    func switchCurrent(_ app: AppName, to build: ProvedBuild) throws {
        let temporary = "\(self.app(app))/current.new"
        remove(temporary)
        try FileManager.default.createSymbolicLink(
            atPath: temporary, withDestinationPath: "builds/\(build.fileName)")
        try renameReplacing(temporary, to: "\(self.app(app))/current")
    }
}

extension ProvedBuild {
    /// Builds of one number from two branches of the global log have two names.
    var fileName: String { "\(build)-\(manifest.hex.prefix(16))" }
}
