import Engine
import Foundation
import Logging
import NIOCore
import NIOPosix
import Packs
import Swarm
import Synchronization

@testable import Transfer

/// A server with one small pack on loopback, for as long as this process lives.
final class FuzzedServer: Sendable {
    static let shared = FuzzedServer()
    private let port: Int

    private init() {
        let ready = DispatchSemaphore(value: 0)
        let bound = Mutex(0)
        Task {
            do {
                let pack = try FuzzSeeds.pack()
                let shelf = PackShelf()
                let shared = try SharedPack(
                    manifest: pack.manifest, paths: [pack.path],
                    verified: .all(pieceCount: pack.manifest.pieces.count), clock: SystemClock(),
                    ledger: MirrorLedgerSettings())
                shelf.put(shared, as: pack.manifest.packName)
                let server = try await PieceServer.bind(
                    PieceServerSettings(host: "127.0.0.1", port: 0, uploadSlots: 4), catalog: shelf,
                    logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() })
                bound.withLock { $0 = server.address.port }
                ready.signal()
                await server.run()
            } catch {
                fatalError("\(error)")
            }
        }
        ready.wait()
        port = bound.withLock { $0 }
    }

    /// Sends it all, says that nothing more comes, and takes what is answered within 200 ms.
    func take(_ bytes: [UInt8]) {
        do {
            let connection = try ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: port).wait()
            let end = connection.eventLoop.scheduleTask(in: .milliseconds(200)) { connection.close(promise: nil) }
            connection.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            connection.close(mode: .output, promise: nil)
            try connection.closeFuture.wait()
            end.cancel()
        } catch {
            fatalError("the server takes no connection any more: \(error)")
        }
    }
}
