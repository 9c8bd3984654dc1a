import ArgumentParser
import Domain
import Engine
import Foundation
import Logging
import Packs
import Swarm
import Transfer

struct PackServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the packs of a directory, and tell those who fetch of each other.",
        discussion: """
            A region's mirror and tracker, without a region: each piece is given away once before it is given again, and \
            everybody who fetches is told whom else to ask. Packs that `create` adds to DIR are served from then on. \
            curl and `zstd -d` work on what it serves: /v1/packs lists it. Ends with Ctrl-C.
            """)

    @Argument(help: "What `create` made.") var directory: String
    @OptionGroup var transfer: TransferOptions
    @Option(help: "Uploads at once.") var uploads = 8

    func validate() throws {
        guard (1...4096).contains(uploads) else { throw ValidationError("--uploads is 1 to 4096") }
    }

    func run() async throws {
        let packs = PackDirectory(path: directory)
        guard FileManager.default.fileExists(atPath: directory) else {
            throw CommandStop(
                .refused, "drover: there is no directory \(directory): drover pack create FILE --output \(directory)")
        }
        let clock = SystemClock()
        try await reportingPackFailures {
            let shelf = PackShelf(releaseKey: try packs.publicKey())
            var served: [PackName: Digest] = [:]
            try put(packs, on: shelf, &served, clock)
            let tracker = SwarmDirectory(seed: UInt64.random(in: .min ... .max), clock: clock)
            let server = try await PieceServer.bind(
                transfer.serverSettings(uploadSlots: uploads), catalog: shelf, tracker: tracker,
                logger: Logger(label: "drover.pack"))
            let url = "\(transfer.scheme)://\(server.address)"
            Terminal.say("serving \(served.count) packs at \(url)")
            Terminal.complain("fetch one: drover pack fetch \(url)/v1/packs/APP/NUMBER --output FILE")
            await withDiscardingTaskGroup { group in
                group.addTask { await server.run() }
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.lookInterval)
                    do { try put(packs, on: shelf, &served, clock) } catch {
                        Terminal.complain("drover: a new pack is not served: \(error)")
                    }
                }
                group.cancelAll()
            }
        }
    }

    private static let lookInterval = Duration.seconds(1)

    /// Serves every pack of the directory that is not served yet. A pack is what its manifest says: whoever fetches
    /// proves each piece.
    private func put(
        _ packs: PackDirectory, on shelf: PackShelf, _ served: inout [PackName: Digest], _ clock: SystemClock
    ) throws {
        for name in packs.names where served[name] == nil {
            let manifest = try packs.read(name)
            let layout = try manifest.layout()
            let shared = try SharedPack(
                manifest: manifest, paths: [packs.pack(name)], verified: .all(pieceCount: layout.pieceCount),
                clock: clock, ledger: MirrorLedgerSettings(), seed: UInt64.random(in: .min ... .max))
            shelf.put(shared, as: name)
            served[name] = manifest.totals.root
        }
    }
}
