internal import Domain
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Swarm
internal import Wire

// MARK: - What is asked for

extension PackConnection {
    func answerPack(_ pack: any PackSource) {
        let tag = "\"\(pack.root.hex)\""
        if request.headers["If-None-Match"].contains(tag) { return sendEmpty(.notModified, [("ETag", tag)]) }
        let total = pack.layout.totalBytes
        let asked = request.headers["If-Range"].allSatisfy { $0 == tag } ? request.headers["Range"] : []
        guard asked.count <= 1, let range = asked.first.map({ ByteRange.parse($0, totalBytes: total) }) ?? 0..<total
        else {
            return sendUnsatisfiable(
                total, "ask for one range of the pack's \(total) bytes, as in bytes=0-65535", "bad-range")
        }
        let have = pack.have.pieces
        guard let gap = pack.layout.pieces(touchedBy: range).first(where: { !have.contains($0) }) else {
            return answer(Upload(pack: pack, range: range, isPart: !asked.isEmpty, tag: tag, peer: peer))
        }
        let detail = "piece \(gap) is not here yet; ask for what /have says"
        guard asked.isEmpty else { return sendUnsatisfiable(total, detail, "not-verified") }
        send(Problem(code: "not-verified", status: 404, title: "The pack is not whole here", detail: detail))
    }

    private func sendUnsatisfiable(_ total: UInt64, _ detail: String, _ code: String) {
        send(
            Problem(code: code, status: 416, title: "The range cannot be served", detail: detail),
            [WebSeed.noRange(of: total)])
    }

    private func answer(_ upload: Upload) {
        if isHead {
            begin(upload.status, upload.headers)
            return finish()
        }
        upload.pack.begun(upload.range, to: upload.peer)
        let (bound, loop, slots) = (NIOLoopBound(self, eventLoop: loop), loop, desk.slots)
        let answer = slots.acquire {
            loop.execute { bound.value.granted(upload) }
        }
        switch answer {
        case .granted:
            holdsSlot = true
            open(upload)
        case .refused: sendBusy(upload.pack)
        case .waiting(let waiter):
            self.waiter = waiter
            wait(milliseconds: settings.uploadWaitMilliseconds) { $0.giveUpWaiting(upload.pack) }
        }
    }

    private func granted(_ upload: Upload) {
        endWait()
        guard waiter != nil, isOpen else { return desk.slots.release() }
        waiter = nil
        holdsSlot = true
        open(upload)
    }

    private func giveUpWaiting(_ pack: any PackSource) {
        guard let waiter, desk.slots.leave(waiter) else { return }
        self.waiter = nil
        sendBusy(pack)
    }

    private func sendBusy(_ pack: any PackSource) {
        send(
            Problem(.busy, "all \(settings.uploadSlots) uploads are under way; ask again later, or elsewhere"),
            [("Retry-After", "1"), WebSeed.noRange(of: pack.layout.totalBytes)])
    }
}

/// A range that is sent.
struct Upload: Sendable {
    let pack: any PackSource
    let range: Range<UInt64>
    let isPart: Bool
    let tag: String
    /// Who asked for it.
    let peer: PeerName?

    var status: HTTPResponseStatus { isPart ? .partialContent : .ok }

    var headers: HTTPHeaders {
        var headers = HTTPHeaders([
            ("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", tag),
            ("Content-Length", String(range.upperBound - range.lowerBound)),
        ])
        if isPart {
            headers.add(
                name: "Content-Range",
                value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(pack.layout.totalBytes)")
        }
        return headers
    }
}

// MARK: - Sending it

extension PackConnection {
    /// Its file stays open for the next request.
    private func open(_ upload: Upload) {
        if let file, file.pack === upload.pack { return start(upload, file.handle) }
        closeFile()
        open(upload, upload.pack.paths[...])
    }

    private func open(_ upload: Upload, _ paths: ArraySlice<String>) {
        guard let path = paths.first else {
            freeSlot()
            return send(
                Problem(.internalFailure, "the pack's file cannot be read; look at the serving machine's disk"))
        }
        let opening = desk.files.openFile(_deprecatedPath: path, mode: .read, eventLoop: loop)
        opening.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .failure where isOpen: open(upload, paths.dropFirst())
            case .failure: break
            case .success(let handle) where isOpen:
                file = (upload.pack, handle)
                start(upload, handle)
            case .success(let handle): try? handle.close()
            }
        }
    }

    private func start(_ upload: Upload, _ handle: NIOFileHandle) {
        setCork(true)
        begin(upload.status, upload.headers)
        sendNext(upload, from: upload.range.lowerBound, handle)
    }

    /// While it is corked the kernel sends full segments only: an answer's head travels with its first bytes.
    private func setCork(_ isCorked: Bool) {
        try? channel.syncOptions?.setOption(ChannelOptions.tcpOption(.cork), value: isCorked ? 1 : 0)
    }

    private func sendNext(_ upload: Upload, from start: UInt64, _ handle: NIOFileHandle) {
        guard start < upload.range.upperBound else {
            upload.pack.served(upload.range, to: upload.peer)
            freeSlot()
            finish()
            return setCork(false)
        }
        let end = min(start + desk.rate.chunkBytes(settings.chunkBytes), upload.range.upperBound)
        let pause = desk.rate.pause(for: end - start)
        guard pause > 0 else { return send(start..<end, upload, handle) }
        wait(milliseconds: pause) { connection in
            // It is the connection's own as long as it is open.
            guard let handle = connection.file?.handle else { return }
            connection.send(start..<end, upload, handle)
        }
    }

    /// The kernel copies from file to socket; TLS must see the bytes.
    private func send(_ range: Range<UInt64>, _ upload: Upload, _ handle: NIOFileHandle) {
        endWait()
        let region = FileRegion(
            fileHandle: handle, readerIndex: Int(range.lowerBound), endIndex: Int(range.upperBound))
        guard settings.tls != nil else { return send(.fileRegion(region), range, upload, handle) }
        let reading = desk.files.read(fileRegion: region, allocator: channel.allocator, eventLoop: loop)
        reading.assumeIsolated().whenComplete { [self] result in
            // The file may be shorter than it was.
            guard isOpen, let buffer = try? result.get(), buffer.readableBytes == region.readableBytes else {
                return channel.close(promise: nil)
            }
            send(.byteBuffer(buffer), range, upload, handle)
        }
    }

    private func send(_ data: IOData, _ range: Range<UInt64>, _ upload: Upload, _ handle: NIOFileHandle) {
        write(.body(data)) { connection in
            upload.pack.sent(bytes: range.upperBound - range.lowerBound, to: upload.peer)
            connection.sendNext(upload, from: range.upperBound, handle)
        }
    }
}

extension NIOBSDSocket.Option {
    /// Full segments only, while it is set.
    fileprivate static let cork = NIOBSDSocket.Option(rawValue: TCP_CORK)
}
