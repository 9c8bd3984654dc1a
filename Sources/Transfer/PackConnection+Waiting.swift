internal import Domain
internal import NIOCore
internal import NIOHTTP1
internal import Swarm
internal import Wire

// MARK: - What is here, as it grows

extension PackConnection {
    /// What is here, then the numbers of what comes, until it is all or the connection ends. Pieces that are gone end it.
    func answerHaves(_ pack: any PackSource) throws(Problem) {
        guard !isHead else {
            throw Problem(code: "bad-method", status: 405, title: "Only GET", detail: "a stream has no head of its own")
        }
        let have = pack.have
        begin(.ok, ["Content-Type": "application/octet-stream"])
        write(.body(.byteBuffer(ByteBuffer(bytes: have.pieces.bytes)))) { $0.waitForNews(pack, told: have) }
    }

    private func waitForNews(_ pack: any PackSource, told: HaveMap) {
        endWait()
        guard !told.pieces.isComplete else { return finish() }
        waitForChange(pack.haveChanges) { $0.tellNews(pack, told: told) }
        wait(milliseconds: HaveStream.restMilliseconds) { $0.tellNews(pack, told: told) }
        if pack.have.version != told.version { tellNews(pack, told: told) }
    }

    private func tellNews(_ pack: any PackSource, told: HaveMap) {
        endWait()
        let now = pack.have
        guard told.pieces.subtracting(now.pieces).isEmpty else { return channel.close(promise: nil) }
        let news = HaveStream.bytes(of: now.pieces.subtracting(told.pieces))
        write(.body(.byteBuffer(ByteBuffer(bytes: news)))) { connection in
            let pause = HaveNews.gatherMilliseconds(now.pieces, pieceBytes: pack.layout.pieceBytes)
            connection.wait(milliseconds: pause) { $0.waitForNews(pack, told: now) }
        }
    }
}

// MARK: - Offers

private let offerGatherMilliseconds: Int64 = 10

extension PackConnection {
    func answerOffer(_ pack: any PackSource, _ question: PackRoute.OfferQuestion) throws(Problem) {
        guard let peer else {
            throw Problem(.badHeader, "name yourself in the header \(TransferHeader.peer): offers are personal")
        }
        guard let offer = pack.offer(to: peer, wanted: question.wanted, held: question.held) else {
            throw Problem(
                code: SourceFailure.Code.noOffers.rawValue, status: 404, title: "No offers here",
                detail: "no ledger is kept here; take what /have says")
        }
        guard let after = question.after, after == offer.version, question.waitMilliseconds > 0 else {
            return send(offer.pieces, version: offer.version)
        }
        let end = NIODeadline.now() + .milliseconds(question.waitMilliseconds)
        waitForOffer(pack, peer, question, until: end)
    }

    private func waitForOffer(
        _ pack: any PackSource, _ peer: PeerName, _ question: PackRoute.OfferQuestion, until end: NIODeadline
    ) {
        endWait()
        waitForChange(pack.offerChanges) { connection in
            // Offers change with every piece that anybody takes.
            connection.wait(milliseconds: offerGatherMilliseconds) {
                $0.waitForOffer(pack, peer, question, until: end)
            }
        }
        let isOver = end <= NIODeadline.now()
        if isOver || pack.offer(to: peer, wanted: [], held: [])?.version != question.after {
            sendOffer(pack, peer, question)
        } else {
            wait(milliseconds: max(1, (end - NIODeadline.now()).nanoseconds / 1_000_000)) {
                $0.sendOffer(pack, peer, question)
            }
        }
    }

    private func sendOffer(_ pack: any PackSource, _ peer: PeerName, _ question: PackRoute.OfferQuestion) {
        endWait()
        guard let offer = pack.offer(to: peer, wanted: question.wanted, held: []) else {
            return channel.close(promise: nil)
        }
        send(offer.pieces, version: offer.version)
    }
}
