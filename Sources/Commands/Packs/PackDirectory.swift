import Domain
import Foundation
import Packs
import Ports
import Swarm
import Transfer

/// A directory of packs made by hand: `APP/ID.pack` and, written last, `APP/ID.manifest`; `release-key` signed them,
/// unless another key did.
struct PackDirectory: Sendable {
    let path: String

    var key: String { "\(path)/release-key" }

    func pack(_ name: PackName) -> String { "\(path)/\(name.app)/\(name.build).pack" }
    func manifest(_ name: PackName) -> String { "\(path)/\(name.app)/\(name.build).manifest" }

    /// Every pack with a manifest, ascending.
    var names: [PackName] {
        let files = FileManager.default
        let apps = ((try? files.contentsOfDirectory(atPath: path)) ?? []).compactMap { AppName(rawValue: $0) }
        return apps.flatMap { app in
            ((try? files.contentsOfDirectory(atPath: "\(path)/\(app)")) ?? []).compactMap { name in
                guard name.hasSuffix(".manifest"), let build = BuildID(String(name.dropLast(9))) else { return nil }
                return PackName(app: app, build: build)
            }
        }.sorted()
    }

    /// The number that an app's next pack gets: one more than any file of it has.
    func nextBuild(of app: AppName) -> BuildID {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(app)")) ?? []
        let numbers = files.compactMap { $0.split(separator: ".").first.flatMap { BuildID(String($0)) } }
        return BuildID(rawValue: (numbers.max()?.rawValue ?? 0) + 1)
    }

    func read(_ name: PackName) throws -> Manifest {
        guard let data = FileManager.default.contents(atPath: manifest(name)) else {
            throw CommandStop(.failed, "drover: \(manifest(name)) cannot be read")
        }
        return try Manifest.decode([UInt8](data))
    }

    /// The public half of the key here; nil where packs were signed with a key kept elsewhere.
    func publicKey() throws -> [UInt8]? {
        let told = "\(key).pub"
        if let text = try? String(contentsOfFile: told, encoding: .utf8) {
            return bytesFromHex(text.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return FileManager.default.fileExists(atPath: key) ? try ReleaseKey.load(path: key).publicKey : nil
    }
}

/// The errors of packs and of their transfer, as a person is told them.
func reportingPackFailures<Value>(_ body: () async throws -> Value) async throws -> Value {
    do { return try await body() } catch let failure as PackFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as TransferFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as SourceFailure {
        throw CommandStop(.failed, "drover: \(failure)")
    } catch let failure as CocoaError {
        throw CommandStop(.failed, "drover: \(failure.localizedDescription)")
    }
}
