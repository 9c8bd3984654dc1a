import ArgumentParser
import Crypto
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// The least that gives ranges of a file away and takes them: what a fetch on one link is compared with. A request is two
/// numbers of eight bytes, offset and length; the answer is the bytes.
struct BareOptions: ParsableArguments {
    @Option(help: "On 127.0.0.1.") var port: Int
    @Option(help: "A directory with machine.pem, machine.key and ca.pem: mutual TLS.") var certificates: String?

    func tls(isServer: Bool) throws -> NIOSSLContext? {
        guard let certificates else { return nil }
        let chain = try NIOSSLCertificate.fromPEMFile("\(certificates)/machine.pem").map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = NIOSSLPrivateKeySource.privateKey(
            try NIOSSLPrivateKey(file: "\(certificates)/machine.key", format: .pem))
        var configuration = TLSConfiguration.makeClientConfiguration()
        if isServer { configuration = .makeServerConfiguration(certificateChain: chain, privateKey: key) }
        (configuration.certificateChain, configuration.privateKey) = (chain, key)
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile("\(certificates)/ca.pem"))
        configuration.certificateVerification = .noHostnameVerification
        configuration.minimumTLSVersion = .tlsv13
        return try NIOSSLContext(configuration: configuration)
    }
}

struct BareServe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bare-serve", shouldDisplay: false)

    @Argument var file: String
    @OptionGroup var bare: BareOptions

    func run() async throws {
        let context = try bare.tls(isServer: true)
        let file = file
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.addHandler(BareServer(file, isCopying: context != nil))
                }
            }
            .bind(host: "127.0.0.1", port: bare.port).get()
        try await listener.closeFuture.get()
    }
}

private final class BareServer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = IOData

    private let file: NIOFileHandle
    /// Encrypted bytes pass through memory; others go from file to socket in the kernel.
    private let isCopying: Bool
    private var rest = ByteBuffer()

    init(_ path: String, isCopying: Bool) throws {
        (file, self.isCopying) = (try NIOFileHandle(_deprecatedPath: path), isCopying)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        rest.writeImmutableBuffer(unwrapInboundIn(data))
        while let (offset, length) = rest.readMultipleIntegers(as: (UInt64, UInt64).self) {
            let region = FileRegion(fileHandle: file, readerIndex: Int(offset), endIndex: Int(offset + length))
            context.write(wrapOutboundOut(isCopying ? .byteBuffer(bytes(region)) : .fileRegion(region)), promise: nil)
        }
        context.flush()
    }

    private func bytes(_ region: FileRegion) -> ByteBuffer {
        var buffer = ByteBuffer()
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: region.readableBytes) { target in
            let read = try? file.withUnsafeFileDescriptor {
                unsafe pread($0, target.baseAddress, region.readableBytes, off_t(region.readerIndex))
            }
            return max(0, read ?? 0)
        }
        return buffer
    }

    func channelInactive(context: ChannelHandlerContext) { try? file.close() }
}

struct BareFetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bare-fetch", shouldDisplay: false)

    @Argument(help: "Only its length is looked at.") var like: String
    @Argument var output: String
    @OptionGroup var bare: BareOptions

    private static let connections = 4
    private static let pieceBytes = 2 << 20

    func run() async throws {
        let length = try FileManager.default.attributesOfItem(atPath: like)[.size] as? Int ?? 0
        let context = try bare.tls(isServer: false)
        let fetch = try BareFetcher(path: "\(output).part", bytes: length, pieceBytes: Self.pieceBytes)
        for _ in 0..<Self.connections {
            _ = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1 << 20))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let context {
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: context, serverHostname: nil))
                        }
                        try channel.pipeline.syncOperations.addHandler(BareClient(fetch))
                    }
                }
                .connect(host: "127.0.0.1", port: bare.port).get()
        }
        for await _ in fetch.done { break }
        try FileManager.default.moveItem(atPath: "\(output).part", toPath: output)
        try await Task.sleep(for: .seconds(3600))
    }
}

/// What all connections of a fetch have in common.
private final class BareFetcher: Sendable {
    let done: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation
    private let descriptor: Int32
    private let totalBytes: Int
    private let pieceBytes: Int
    private let next = Atomic(0)
    private let written = Atomic(0)
    private let threads = DispatchQueue(label: "bare", attributes: .concurrent)

    init(path: String, bytes: Int, pieceBytes: Int) throws {
        (totalBytes, self.pieceBytes) = (bytes, pieceBytes)
        (done, end) = AsyncStream.makeStream(of: Void.self)
        descriptor = unsafe open(path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(bytes)) == 0 else {
            throw BenchmarkFailure("\(path) cannot be written")
        }
    }

    func nextRange() -> Range<Int>? {
        let start = next.add(pieceBytes, ordering: .relaxed).oldValue
        return start < totalBytes ? start..<min(start + pieceBytes, totalBytes) : nil
    }

    func take(_ bytes: ByteBuffer, at offset: Int) {
        threads.async { [self] in
            // What a piece is compared with; that it is not compared here costs nothing.
            var hasher = SHA256()
            let count = unsafe bytes.withUnsafeReadableBytes { part in
                unsafe hasher.update(bufferPointer: part)
                return unsafe pwrite(descriptor, part.baseAddress, part.count, off_t(offset))
            }
            precondition(count == bytes.readableBytes && hasher.finalize() != SHA256().finalize())
            if written.add(count, ordering: .sequentiallyConsistent).newValue == totalBytes { end.yield() }
        }
    }
}

private final class BareClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let fetch: BareFetcher
    /// Asked for, in order: one is answered while the next is on its way.
    private var ranges: [Range<Int>] = []
    private var piece = ByteBuffer()

    init(_ fetch: BareFetcher) { self.fetch = fetch }

    func channelActive(context: ChannelHandlerContext) { for _ in 0..<2 { ask(context) } }

    private func ask(_ context: ChannelHandlerContext) {
        guard let range = fetch.nextRange() else { return }
        ranges.append(range)
        var request = ByteBuffer()
        request.writeMultipleIntegers(UInt64(range.lowerBound), UInt64(range.count))
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        while let range = ranges.first, bytes.readableBytes > 0 {
            if piece.readableBytes == 0 { piece.reserveCapacity(range.count) }
            let wanted = min(bytes.readableBytes, range.count - piece.readableBytes)
            if let part = bytes.readSlice(length: wanted) { piece.writeImmutableBuffer(part) }
            guard piece.readableBytes == range.count else { break }
            fetch.take(piece, at: range.lowerBound)
            piece = ByteBuffer()
            ranges.removeFirst()
            ask(context)
        }
    }
}
