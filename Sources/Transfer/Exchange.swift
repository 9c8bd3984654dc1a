internal import Domain
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

/// One request and its answer.
struct Exchange: Sendable {
    let server: PieceServer
    let request: HTTPRequestHead
    let channel: any Channel
    /// Fires when the connection is gone.
    let closed: ChangeSignal

    private var settings: PieceServerSettings { server.settings }
    private var isHead: Bool { request.method == .HEAD }
    private var peer: PeerName? { request.headers.first(name: TransferHeader.peer).flatMap { PeerName(rawValue: $0) } }

    /// Whether the connection can be used again.
    func run() async throws -> Bool {
        do throws(Problem) {
            let route = try PackRoute.parse(request, settings)
            switch route {
            case .pack(let name): return await answerPack(try pack(name))
            case .manifest(let name): return try await answerManifest(try pack(name))
            case .torrent(let name): return try await answerTorrent(try pack(name), name)
            case .have(let name): return await send(try pack(name).have)
            case .haves(let name): return await answerHaves(try pack(name))
            case .offer(let name, let question): return try await answerOffer(try pack(name), question)
            case .announce(let name, let question): return try await answerAnnounce(name, question)
            case .list: return await sendJSON(server.catalog.list)
            }
        } catch {
            return await send(error)
        }
    }

    private func pack(_ name: PackName) throws(Problem) -> any PackSource {
        guard let pack = server.catalog.pack(name) else { throw PackRoute.notFound("pack \(name) is not here") }
        return pack
    }

    // MARK: Small answers

    private func answerManifest(_ pack: any PackSource) async throws(Problem) -> Bool {
        await send(pack.manifestBytes, type: "application/jsonl", [("ETag", "\"\(pack.root.hex)\"")])
    }

    private func answerTorrent(_ pack: any PackSource, _ name: PackName) async throws(Problem) -> Bool {
        let seed = try WebSeed.url(
            of: name, request.headers, local: channel.localAddress, isSecure: settings.tls != nil)
        return await send(WebSeed.torrent(of: pack, from: seed), type: WebSeed.mediaType, [])
    }

    private func send(_ have: HaveMap) async -> Bool { await send(have.pieces, version: have.version) }

    /// What is here, then the numbers of what comes, until it is all or the connection ends. Pieces that are gone end it.
    private func answerHaves(_ pack: any PackSource) async -> Bool {
        guard !isHead else {
            return await send(
                Problem(code: "bad-method", status: 405, title: "Only GET", detail: "a stream has no head of its own"))
        }
        var told = pack.have
        channel.write(head(.ok, [("Content-Type", "application/octet-stream")]), promise: nil)
        guard await write(told.pieces.bytes) else { return false }
        while !told.pieces.isComplete {
            let version = told.version
            await atMost(milliseconds: HaveStream.restMilliseconds, unless: [closed]) {
                await pack.haveChange(after: version)
            }
            let now = pack.have
            guard !closed.hasFired, told.pieces.subtracting(now.pieces).isEmpty,
                await write(HaveStream.bytes(of: now.pieces.subtracting(told.pieces)))
            else { return false }
            told = now
            try? await Task.sleep(for: .milliseconds(HaveStream.gatherMilliseconds))
        }
        return await finish()
    }

    private func write(_ bytes: [UInt8]) async -> Bool {
        await write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))))
    }

    private func answerOffer(
        _ pack: any PackSource, _ question: PackRoute.OfferQuestion
    ) async throws(Problem) -> Bool {
        guard let peer else {
            throw Problem(.badHeader, "name yourself in the header \(TransferHeader.peer): offers are personal")
        }
        guard var offer = pack.offer(to: peer, wanted: question.wanted) else {
            throw Problem(
                code: SourceFailure.Code.noOffers.rawValue, status: 404, title: "No offers here",
                detail: "no ledger is kept here; take what /have says")
        }
        if let after = question.after, after == offer.version, question.waitMilliseconds > 0 {
            await atMost(milliseconds: question.waitMilliseconds, unless: [closed]) {
                await pack.offerChange(to: peer, after: after)
            }
            offer = pack.offer(to: peer, wanted: question.wanted) ?? offer
        }
        return await send(offer.pieces, version: offer.version)
    }

    private func answerAnnounce(
        _ name: PackName, _ question: PackRoute.AnnounceQuestion
    ) async throws(Problem) -> Bool {
        _ = try pack(name)
        guard let tracker = server.tracker else {
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
        return await sendJSON(
            NeighboursAnswer(
                neighbours: answer.neighbours.map { AnnounceAnswer.Neighbour(name: $0.name, endpoint: $0.endpoint) },
                mirrorRequests: answer.mirrorRequests, announceMilliseconds: answer.announceMilliseconds))
    }

    private func sendJSON(_ value: some Encodable) async -> Bool {
        guard let body = try? WireJSON.encode(value) else {
            return await send(Problem(.internalFailure, "the answer cannot be written"))
        }
        return await send([UInt8](body), type: "application/json", [])
    }

    private func send(_ pieces: PieceSet, version: UInt64) async -> Bool {
        await send(pieces.bytes, type: "application/octet-stream", [(TransferHeader.version, String(version))])
    }

    private func send(
        _ body: [UInt8], type: String, status: HTTPResponseStatus = .ok, _ extra: [(String, String)]
    ) async -> Bool {
        var headers = HTTPHeaders(extra)
        headers.add(name: "Content-Type", value: type)
        headers.add(name: "Content-Length", value: String(body.count))
        channel.write(head(status, headers), promise: nil)
        if !isHead { channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        return await finish()
    }

    private func send(_ problem: Problem, _ extra: [(String, String)] = []) async -> Bool {
        let body = (try? WireJSON.encode(problem)).map { Array($0) } ?? []
        return await send(
            body, type: "application/problem+json", status: HTTPResponseStatus(statusCode: problem.status), extra)
    }

    // MARK: The pack's bytes

    private func answerPack(_ pack: any PackSource) async -> Bool {
        let tag = "\"\(pack.root.hex)\""
        if request.headers["If-None-Match"].contains(tag) { return await sendEmpty(.notModified, [("ETag", tag)]) }
        let total = pack.layout.totalBytes
        let asked = request.headers["If-Range"].allSatisfy { $0 == tag } ? request.headers["Range"] : []
        guard asked.count <= 1, let range = asked.first.map({ ByteRange.parse($0, totalBytes: total) }) ?? 0..<total
        else {
            return await sendUnsatisfiable(
                total, "ask for one range of the pack's \(total) bytes, as in bytes=0-65535", "bad-range")
        }
        let have = pack.have.pieces
        guard let gap = pack.layout.pieces(touchedBy: range).first(where: { !have.contains($0) }) else {
            return await answer(range, of: pack, isPart: !asked.isEmpty, tag)
        }
        let detail = "piece \(gap) is not here yet; ask for what /have says"
        guard asked.isEmpty else { return await sendUnsatisfiable(total, detail, "not-verified") }
        return await send(
            Problem(code: "not-verified", status: 404, title: "The pack is not whole here", detail: detail))
    }

    private func sendUnsatisfiable(_ total: UInt64, _ detail: String, _ code: String) async -> Bool {
        await send(
            Problem(code: code, status: 416, title: "The range cannot be served", detail: detail),
            [WebSeed.noRange(of: total)])
    }

    private func answer(_ range: Range<UInt64>, of pack: any PackSource, isPart: Bool, _ tag: String) async -> Bool {
        var headers = HTTPHeaders([
            ("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", tag),
            ("Content-Length", String(range.upperBound - range.lowerBound)),
        ])
        if isPart {
            headers.add(
                name: "Content-Range",
                value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(pack.layout.totalBytes)")
        }
        let head = head(isPart ? .partialContent : .ok, headers)
        if isHead {
            channel.write(head, promise: nil)
            return await finish()
        }
        guard await server.slots.acquire(unless: [closed]) else {
            return await send(
                Problem(.busy, "all \(settings.uploadSlots) uploads are under way; ask again later, or elsewhere"),
                [("Retry-After", "1"), WebSeed.noRange(of: pack.layout.totalBytes)])
        }
        defer { server.slots.release() }
        return await stream(range, of: pack, head)
    }

    private func stream(_ range: Range<UInt64>, of pack: any PackSource, _ head: HTTPServerResponsePart) async -> Bool {
        for path in pack.paths {
            let opening = server.files.openFile(_deprecatedPath: path, mode: .read, eventLoop: channel.eventLoop)
            if let file = try? await opening.get() { return await stream(range, of: pack, head, file) }
        }
        return await send(
            Problem(.internalFailure, "the pack's file cannot be read; look at the serving machine's disk"))
    }

    private func stream(
        _ range: Range<UInt64>, of pack: any PackSource, _ head: HTTPServerResponsePart, _ file: NIOFileHandle
    ) async -> Bool {
        defer { try? file.close() }
        channel.write(head, promise: nil)
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(start + server.rate.chunkBytes(settings.chunkBytes), range.upperBound)
            await server.rate.wait(for: end - start)
            guard let chunk = await chunk(start..<end, file), await write(.body(chunk)) else { return false }
            pack.sent(bytes: end - start, to: peer)
            start = end
        }
        guard await write(.end(nil)) else { return false }
        pack.served(range, to: peer)
        return request.isKeepAlive
    }

    /// The kernel copies from file to socket; TLS must see the bytes. Nil when the file is shorter than it was.
    private func chunk(_ range: Range<UInt64>, _ file: NIOFileHandle) async -> IOData? {
        let region = FileRegion(
            fileHandle: file, readerIndex: Int(range.lowerBound), endIndex: Int(range.upperBound))
        guard settings.tls != nil else { return .fileRegion(region) }
        let buffer = try? await server.files.read(fileRegion: region, allocator: channel.allocator)
        return buffer?.readableBytes == region.readableBytes ? buffer.map { .byteBuffer($0) } : nil
    }

    // MARK: Writing

    private func sendEmpty(_ status: HTTPResponseStatus, _ extra: [(String, String)]) async -> Bool {
        channel.write(head(status, HTTPHeaders(extra)), promise: nil)
        return await finish()
    }

    private func head(_ status: HTTPResponseStatus, _ headers: [(String, String)]) -> HTTPServerResponsePart {
        head(status, HTTPHeaders(headers))
    }

    private func head(_ status: HTTPResponseStatus, _ headers: HTTPHeaders) -> HTTPServerResponsePart {
        var headers = headers
        if !request.isKeepAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
        return .head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))
    }

    /// Whether the connection can be used again.
    private func finish() async -> Bool { await write(.end(nil)) && request.isKeepAlive }

    /// Whether all that was written is with the kernel; the connection is cut when that takes too long.
    private func write(_ part: HTTPServerResponsePart) async -> Bool {
        let channel = channel
        let stall = channel.eventLoop.scheduleTask(in: .milliseconds(settings.stallMilliseconds)) {
            channel.close(promise: nil)
        }
        defer { stall.cancel() }
        do {
            try await channel.writeAndFlush(part).get()
            return true
        } catch {
            return false
        }
    }
}
