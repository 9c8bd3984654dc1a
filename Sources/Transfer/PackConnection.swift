internal import Domain
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Swarm
internal import Wire

/// Names of our own headers.
enum TransferHeader {
    /// The peer that asks.
    static let peer = "Drover-Peer"
    /// The have-map's or the offer's version.
    static let version = "Drover-Version"
}

/// One client's connection: answers one request after the other. Only its event loop touches it.
final class PackConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    let desk: ServerDesk
    let channel: any Channel
    /// The request that is read or answered.
    private var head: HTTPRequestHead?
    /// Counts what was waited for: whatever comes of an earlier wait comes too late.
    private var wait: UInt64 = 0
    private var subscription: (signal: ChangeSignal, token: ChangeSignal.Token)?
    private var timer: Scheduled<Void>?
    private lazy var stall = LazyDeadline(loop) { [channel] in channel.close(promise: nil) }
    var waiter: UploadSlots.Waiter?
    var holdsSlot = false
    /// The pack that was sent last, open.
    var file: (pack: any PackSource, handle: NIOFileHandle)?

    init(desk: ServerDesk, channel: any Channel) { (self.desk, self.channel) = (desk, channel) }

    var settings: PieceServerSettings { desk.settings }
    var loop: any EventLoop { channel.eventLoop }
    var isOpen: Bool { channel.isActive }
    var request: HTTPRequestHead { head ?? HTTPRequestHead(version: .http1_1, method: .GET, uri: "/") }
    var isHead: Bool { request.method == .HEAD }
    var peer: PeerName? { request.headers.first(name: TransferHeader.peer).flatMap { PeerName(rawValue: $0) } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let next): head = next
        // A GET or HEAD with a body is nothing that a client of ours sends.
        case .body: context.close(promise: nil)
        case .end:
            guard head != nil else { return context.close(promise: nil) }
            answer()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        endWait()
        stall.end()
        if let waiter { _ = desk.slots.leave(waiter) }
        waiter = nil
        freeSlot()
        closeFile()
        context.fireChannelInactive()
    }

    func freeSlot() {
        if holdsSlot { desk.slots.release() }
        holdsSlot = false
    }

    func closeFile() {
        try? file?.handle.close()
        file = nil
    }

    private func answer() {
        do throws(Problem) {
            switch try PackRoute.parse(request, settings) {
            case .pack(let name): answerPack(try pack(name))
            case .manifest(let name):
                let pack = try pack(name)
                send(pack.manifestBytes, type: "application/jsonl", [("ETag", "\"\(pack.root.hex)\"")])
            case .torrent(let name): try answerTorrent(try pack(name), name)
            case .have(let name):
                let have = try pack(name).have
                send(have.pieces, version: have.version)
            case .haves(let name): try answerHaves(try pack(name))
            case .offer(let name, let question): try answerOffer(try pack(name), question)
            case .announce(let name, let question): try answerAnnounce(name, question)
            case .list: sendJSON(desk.catalog.list)
            }
        } catch {
            send(error)
        }
    }

    private func pack(_ name: PackName) throws(Problem) -> any PackSource {
        guard let pack = desk.catalog.pack(name) else { throw PackRoute.notFound("pack \(name) is not here") }
        return pack
    }

    private func answerTorrent(_ pack: any PackSource, _ name: PackName) throws(Problem) {
        let seed = try WebSeed.url(
            of: name, request.headers, local: channel.localAddress, isSecure: settings.tls != nil)
        send(WebSeed.torrent(of: pack, from: seed), type: WebSeed.mediaType, [])
    }

    private func answerAnnounce(_ name: PackName, _ question: PackRoute.AnnounceQuestion) throws(Problem) {
        _ = try pack(name)
        guard let tracker = desk.tracker else {
            throw PackRoute.notFound("this is no tracker: announce yourself where the region says")
        }
        guard let peer, let host = channel.remoteAddress?.ipAddress else {
            throw Problem(.badHeader, "name yourself in the header \(TransferHeader.peer): you are told to others")
        }
        let address = BoundAddress(host: host, port: Int(question.port))
        let endpoint = "\(settings.tls == nil ? "http" : "https")://\(address)"
        guard let answer = tracker.announced(name, peer: peer, endpoint: endpoint, labels: question.labels) else {
            throw Problem(.busy, "too many packs are being fetched at once: try again shortly")
        }
        sendJSON(
            NeighboursAnswer(
                neighbours: answer.neighbours.map { AnnounceAnswer.Neighbour(name: $0.name, endpoint: $0.endpoint) },
                mirrorRequests: answer.mirrorRequests, announceMilliseconds: answer.announceMilliseconds))
    }
}

// MARK: - Small answers

extension PackConnection {
    private func sendJSON(_ value: some Encodable) {
        guard let body = try? WireJSON.encode(value) else {
            return send(Problem(.internalFailure, "the answer cannot be written"))
        }
        send([UInt8](body), type: "application/json", [])
    }

    func send(_ pieces: PieceSet, version: UInt64) {
        send(pieces.bytes, type: "application/octet-stream", [(TransferHeader.version, String(version))])
    }

    func send(_ problem: Problem, _ extra: [(String, String)] = []) {
        let body = (try? WireJSON.encode(problem)).map { Array($0) } ?? []
        send(body, type: "application/problem+json", status: HTTPResponseStatus(statusCode: problem.status), extra)
    }

    private func send(
        _ body: [UInt8], type: String, status: HTTPResponseStatus = .ok, _ extra: [(String, String)]
    ) {
        begin(
            status,
            HTTPHeaders(extra + [("Content-Type", type), ("Content-Length", String(body.count))]))
        if !isHead { add(.byteBuffer(ByteBuffer(bytes: body))) }
        finish()
    }

    func sendEmpty(_ status: HTTPResponseStatus, _ extra: [(String, String)]) {
        begin(status, HTTPHeaders(extra))
        finish()
    }
}

// MARK: - Writing

extension PackConnection {
    func begin(_ status: HTTPResponseStatus, _ headers: HTTPHeaders) {
        var headers = headers
        if !request.isKeepAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
    }

    func add(_ data: IOData) { channel.write(HTTPServerResponsePart.body(data), promise: nil) }

    /// Ends the answer; then the next request may come.
    func finish() {
        endWait()
        let isKeptAlive = request.isKeepAlive
        write(.end(nil)) { connection in
            if !isKeptAlive { connection.channel.close(promise: nil) }
        }
    }

    /// Calls `body` when this part, and all before it, is with the kernel; the connection is cut when that takes too long.
    func write(_ part: HTTPServerResponsePart, _ body: @escaping (PackConnection) -> Void) {
        stall.set(milliseconds: settings.stallMilliseconds)
        let written = loop.makePromise(of: Void.self)
        channel.writeAndFlush(part, promise: written)
        written.futureResult.assumeIsolated().whenComplete { [self] result in
            stall.clear()
            switch result {
            case .success: body(self)
            case .failure: channel.close(promise: nil)
            }
        }
    }
}

// MARK: - Waiting

extension PackConnection {
    /// Runs on the event loop, unless the wait in which it was made is over.
    func later(_ body: @escaping @Sendable (PackConnection) -> Void) -> @Sendable () -> Void {
        let (bound, wait, loop) = (NIOLoopBound(self, eventLoop: loop), wait, loop)
        return {
            loop.execute {
                let connection = bound.value
                if connection.wait == wait { body(connection) }
            }
        }
    }

    /// `body` runs at the next change, unless the wait ends before.
    func waitForChange(_ signal: ChangeSignal, _ body: @escaping @Sendable (PackConnection) -> Void) {
        subscription = (signal, signal.next(later(body)))
    }

    /// `body` runs after this time, unless the wait ends before.
    func wait(milliseconds: Int64, _ body: @escaping @Sendable (PackConnection) -> Void) {
        timer?.cancel()
        timer = loop.scheduleTask(in: .milliseconds(milliseconds), later(body))
    }

    func endWait() {
        wait += 1
        if let subscription { subscription.signal.cancel(subscription.token) }
        subscription = nil
        timer?.cancel()
        timer = nil
    }
}
