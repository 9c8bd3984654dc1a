import Domain
import Foundation
import Packs
import Swarm
import Transfer
import Wire

/// What the URL of a pack or of a server means.
struct PackPlace: Hashable {
    var server: PackEndpoint
    /// Nil for the only pack there.
    var pack: PackName?

    init(_ url: String) throws {
        guard let components = URLComponents(string: url), components.query == nil else {
            throw CommandStop(.refused, "drover: \(url) is no URL of a pack: http://HOST:PORT/v1/packs/APP/NUMBER")
        }
        var root = components
        root.path = ""
        do { server = try PackEndpoint(root.string ?? url) } catch {
            throw CommandStop(.refused, "drover: \(error.message)")
        }
        let parts = components.path.split(separator: "/")
        guard !parts.isEmpty else { return }
        guard parts.count == 4, parts[0] == "v1", parts[1] == "packs", let app = AppName(rawValue: String(parts[2])),
            let build = BuildID(String(parts[3]))
        else {
            throw CommandStop(.refused, "drover: \(url) names no pack: write http://HOST:PORT/v1/packs/APP/NUMBER")
        }
        pack = PackName(app: app, build: build)
    }
}

extension PackPlace {
    /// The manifest of the pack that is meant, proved: by the key `trust` names, else by the server's own.
    func manifest(_ client: PieceClient, trust: String?) async throws -> Manifest {
        let list = try await client.packs(at: server)
        let name = try pack ?? only(list)
        let bytes = try await client.manifest(of: name, at: server)
        let key = try trust.map(trustedKey) ?? serversKey(list)
        let manifest = try Manifest.verify(bytes, trustedKeys: [key])
        guard manifest.name == name else {
            throw CommandStop(.failed, "drover: \(server) sent the manifest of \(manifest.name), not of \(name)")
        }
        return manifest
    }

    private func only(_ list: PackListAnswer) throws -> PackName {
        let names = list.packs.map { PackName(app: $0.app, build: $0.build) }
        guard let first = names.first, names.count == 1 else {
            let what = names.isEmpty ? "no pack" : names.prefix(8).map(\.description).joined(separator: ", ")
            throw CommandStop(.refused, "drover: \(server) serves \(what): name one as \(server)/v1/packs/APP/NUMBER")
        }
        return first
    }

    private func serversKey(_ list: PackListAnswer) throws -> [UInt8] {
        guard let text = list.releaseKey, let key = bytesFromHex(text), key.count == 32 else {
            throw CommandStop(.refused, "drover: \(server) names no release key: give the one you trust with --trust")
        }
        Terminal.complain("trusting the key that \(server) names: \(text) (--trust to be sure)")
        return key
    }
}
