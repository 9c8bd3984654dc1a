import Domain
import Foundation
import Packs
import Transfer

extension AgentDirectory {
    /// Deletes what no app needs: left by a kill in the middle of a fetch, or by targets that changed meanwhile. A build
    /// that is still assigned keeps what was fetched of it.
    func sweep() {
        var (packs, manifests): (Set<String>, Set<String>) = ([], [])
        for app in apps() {
            let kept = keptBuilds(of: app)
            let needed = Set(kept + [machine(app)?.assignment?.build].compactMap { $0 })
            removeOthers(in: "\(self.app(app))/builds", than: Set(needed.map(\.fileName)))
            for build in needed { remove(PackReader.temporaryPath(of: binary(app, build))) }
            for build in needed {
                packs.formUnion(["", ".partial", ".partial.pieces"].map { "\(build.fileName).pack\($0)" })
                manifests.insert(build.manifest.hex)
            }
        }
        removeOthers(in: "\(root)/packs", than: packs)
        removeOthers(in: "\(root)/manifests", than: manifests)
    }

    private func removeOthers(in path: String, than names: Set<String>) {
        for name in self.names(in: path) where !names.contains(name) { remove("\(path)/\(name)") }
    }

    /// Deletes one build. Its manifest goes first, so that a half deleted one is not taken for a whole one.
    func removeBuild(_ app: AppName, _ build: ProvedBuild) {
        remove(manifestName(app, build))
        remove(self.build(app, build))
        remove(manifest(build.manifest))
        remove(pack(build))
        PackFile.remove(finalPath: pack(build))
    }

    /// Moves what the app has printed aside when it is too much: the app goes on writing at the end of the same file.
    /// What it prints in the middle of this is lost.
    func rotateOutput(_ app: AppName, maximumBytes: UInt64) throws {
        let path = output(app)
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let bytes = (attributes?[.size] as? NSNumber)?.uint64Value, bytes > maximumBytes,
            let handle = FileHandle(forUpdatingAtPath: path)
        else { return }
        remove("\(path).1")
        try FileManager.default.copyItem(atPath: path, toPath: "\(path).1")
        try handle.truncate(atOffset: 0)
        try handle.close()
    }
}
