import Domain
import Foundation
import NIOSSL
import Packs
import Swarm
import Testing

@testable import Transfer

/// Both ends show certificates of one authority.
@Suite(.timeLimit(.minutes(10)))
struct MutualTLSTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        try openssl("req -x509 \(newKey) -days 2 -subj /CN=authority -keyout ca.key -out ca.pem")
        try Data("subjectAltName=IP:127.0.0.1,DNS:localhost".utf8).write(
            to: URL(fileURLWithPath: scratch.file("names")))
        for name in ["server", "client"] {
            try openssl(
                "req \(newKey) -subj /CN=\(name) -keyout \(name).key -out \(name).csr"
            )
            try openssl(
                "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names "
                    + "-out \(name).pem"
            )
        }
    }

    private func openssl(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(arguments)")
    }

    private func files(_ name: String) -> CertificateFiles {
        CertificateFiles(
            certificate: scratch.file("\(name).pem"), key: scratch.file("\(name).key"),
            authority: scratch.file("ca.pem"))
    }

    @Test func aPackIsFetchedAndStrangersGetNothing() async throws {
        let pack = try TestPack(rawBytes: 5_000_000)
        var serverSettings = PieceServerSettings()
        serverSettings.tls = try files("server").serverConfiguration()
        let server = try await RunningServer(serverSettings, keeping: pack.scratch)
        server.shelf.put(try pack.shared(), as: pack.name)
        let endpoint = try PackEndpoint("https://\(server.server.address)")

        var strangerSettings = PieceClientSettings()
        strangerSettings.tls = try files("client").clientConfiguration()
        strangerSettings.tls?.certificateChain = []
        strangerSettings.tls?.privateKey = nil
        let stranger = PieceClient(strangerSettings)
        await #expect(throws: SourceFailure.self) {
            _ = try await stranger.have(of: pack.name, pieceCount: pack.pieceCount, at: endpoint)
        }
        await stranger.shutdown()

        var settings = PieceClientSettings()
        settings.tls = try files("client").clientConfiguration()
        let client = PieceClient(settings)
        let fetcher = try await PackFetcher.open(
            manifest: pack.manifest, finalPath: pack.scratch.file("fetched"),
            sources: FetchSources(mirrors: [endpoint]),
            peer: PeerName(unchecked: "p"), client: client, clock: MachineClock(), seed: 1, logger: quietLogger)
        try await fetcher.run()
        try PackReader(path: pack.scratch.file("fetched"), manifest: pack.manifest).verifyPacked()
        await client.shutdown()
        await server.stop()
    }

    @Test func filesThatAreNoneAreNamed() {
        var wrong = files("server")
        wrong.key = scratch.file("ca.pem")
        #expect {
            _ = try wrong.serverConfiguration()
        } throws: { error in
            (error as? TransferFailure).map { $0.code == .badCertificate && $0.message.contains("ca.pem") } ?? false
        }
        wrong = files("nobody")
        #expect(throws: TransferFailure.self) { _ = try wrong.clientConfiguration() }
    }
}
