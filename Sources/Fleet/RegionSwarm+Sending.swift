internal import Swarm

// MARK: - Pieces on their way

extension RegionSwarm {
    mutating func open(_ request: PieceRequest, by peer: UInt32) {
        let sender = request.source == Self.mirrorID ? mirror : request.source.rawValue - 1
        let transfer = Transfer(
            receiver: peer, sender: sender, piece: UInt32(request.piece), request: request.id,
            left: Int64(layout.bytes(of: request.piece)), startedAt: now, generation: 0)
        let place: UInt32
        if let free = freeTransfers.popLast() {
            place = free
            let generation = transfers[Int(free)].generation
            transfers[Int(free)] = transfer
            transfers[Int(free)].generation = generation
        } else {
            place = UInt32(transfers.count)
            transfers.append(transfer)
        }
        peers[Int(peer)].open.append(place)
        calendar.add(.request, at: now + delay, place, transfers[Int(place)].generation)
    }

    private mutating func free(_ place: UInt32) {
        transfers[Int(place)].generation &+= 1
        freeTransfers.append(place)
    }

    mutating func cancel(_ id: RequestID, of peer: UInt32) {
        let index = Int(peer)
        guard let place = peers[index].open.firstIndex(where: { transfers[Int($0)].request == id }) else { return }
        stopSending(peers[index].open.remove(at: place))
    }

    /// Nobody waits for it any more.
    mutating func stopSending(_ transfer: UInt32) {
        let sender = Int(transfers[Int(transfer)].sender)
        senders[sender].waiting.removeAll { $0 == transfer }
        if let place = senders[sender].active.firstIndex(of: transfer) {
            senders[sender].active.remove(at: place)
            fill(UInt32(sender))
        }
        free(transfer)
    }

    /// It ends at its sender without its bytes.
    mutating func refuse(_ transfer: UInt32, _ failure: RequestFailure) {
        let (receiver, request) = (transfers[Int(transfer)].receiver, transfers[Int(transfer)].request)
        peers[Int(receiver)].open.removeAll { $0 == transfer }
        stopSending(transfer)
        peers[Int(receiver)].picker.requestFailed(request, failure, now: moment)
        decideSoon(receiver)
    }

    // MARK: At the sender

    /// A request has come to its sender.
    mutating func requested(_ transfer: UInt32) {
        let sender = transfers[Int(transfer)].sender
        let index = Int(sender)
        guard sender == mirror || peers[index].isUp else { return refuse(transfer, .unreachable) }
        if senders[index].active.count < senders[index].slots {
            senders[index].active.append(transfer)
            serveSoon(sender, at: max(now, links.up(index).freeAt))
        } else if senders[index].waiting.count < senders[index].waitingSlots {
            senders[index].waiting.append(transfer)
            let end = now + shape.uploadWaitMilliseconds * Self.millisecond
            calendar.add(.giveUpWaiting, at: end, transfer, transfers[Int(transfer)].generation)
        } else {
            refuse(transfer, .busy)
        }
    }

    mutating func gaveUpWaiting(_ transfer: UInt32) {
        guard senders[Int(transfers[Int(transfer)].sender)].waiting.contains(transfer) else { return }
        refuse(transfer, .busy)
    }

    private mutating func fill(_ sender: UInt32) {
        let index = Int(sender)
        while senders[index].active.count < senders[index].slots, !senders[index].waiting.isEmpty {
            senders[index].active.append(senders[index].waiting.removeFirst())
        }
        if !senders[index].active.isEmpty { serveSoon(sender, at: max(now, links.up(index).freeAt)) }
    }

    private mutating func serveSoon(_ sender: UInt32, at time: Int64) {
        guard time < senders[Int(sender)].servesAt else { return }
        senders[Int(sender)].servesAt = time
        calendar.add(.serve, at: time, sender)
    }

    /// Sends one portion of the next transfer whose way is open.
    mutating func serve(_ sender: UInt32) {
        let index = Int(sender)
        senders[index].servesAt = .max
        let count = senders[index].active.count
        guard count > 0 else { return }
        var opensAt = Int64.max
        for step in 0..<count {
            let place = (senders[index].turn + step) % count
            let transfer = senders[index].active[place]
            let bytes = min(portionBytes, transfers[Int(transfer)].left)
            let moment = links.opensAt(bytes, from: index, to: Int(transfers[Int(transfer)].receiver))
            if moment <= now {
                senders[index].turn = place + 1
                return send(bytes, of: transfer, at: place, from: sender)
            }
            opensAt = min(opensAt, moment)
        }
        serveSoon(sender, at: opensAt)
    }

    private mutating func send(_ bytes: Int64, of transfer: UInt32, at place: Int, from sender: UInt32) {
        let (index, receiver) = (Int(sender), transfers[Int(transfer)].receiver)
        let end = links.carry(bytes, from: index, to: Int(receiver), now: now)
        transfers[Int(transfer)].left -= bytes
        if transfers[Int(transfer)].left == 0 {
            senders[index].active.remove(at: place)
            senders[index].turn = place
            calendar.add(.arrive, at: end + readDelay(), transfer, transfers[Int(transfer)].generation)
            fill(sender)
        }
        noteProgress(of: transfer)
        if !senders[index].active.isEmpty { serveSoon(sender, at: links.up(index).freeAt) }
    }

    /// A silence of seconds is looked at; what is faster is none. What shares a receiver's wire that is full trickles: it
    /// waits here for its portion's turn, and is no silence either.
    private mutating func noteProgress(of sent: UInt32) {
        let receiver = Int(transfers[Int(sent)].receiver)
        let isFull = links.down(receiver).opensAt(portionBytes) > now
        for transfer in peers[receiver].open where isFull || transfer == sent {
            guard now - transfers[Int(transfer)].startedAt > 1000 * Self.millisecond else { continue }
            peers[receiver].picker.requestProgressed(transfers[Int(transfer)].request, now: moment)
        }
    }

    // MARK: At the receiver

    mutating func arrived(_ transfer: UInt32) {
        let (receiver, sender) = (transfers[Int(transfer)].receiver, transfers[Int(transfer)].sender)
        let (index, request) = (Int(receiver), transfers[Int(transfer)].request)
        peers[index].open.removeAll { $0 == transfer }
        if sender == mirror {
            given(Int(transfers[Int(transfer)].piece), to: receiver)
        } else {
            peers[Int(sender)].sentPieces += 1
        }
        guard peers[index].picker.requestArrived(request, now: moment) else { return free(transfer) }
        calendar.add(
            .checked, at: checkEnds(index, Int(transfers[Int(transfer)].piece)), transfer,
            transfers[Int(transfer)].generation)
        decideSoon(receiver)
    }

    /// A thread hashes it, then it is written.
    private mutating func checkEnds(_ peer: Int, _ piece: Int) -> Int64 {
        let bytes = Int64(layout.bytes(of: piece))
        let hashing = bytes * 1000 / Int64(max(1, shape.hashBytesPerSecond / 1_000_000))
        var threads = peers[peer].hashesAt
        if threads.0 > threads.1 { threads = (threads.1, threads.0) }
        threads.0 = max(now, threads.0) + hashing
        peers[peer].writesAt =
            max(threads.0, peers[peer].writesAt) + bytes * peers[peer].diskPicosecondsPerByte / 1000
        threads.0 = peers[peer].writesAt
        peers[peer].hashesAt = threads
        return peers[peer].writesAt
    }

    mutating func checked(_ transfer: UInt32) {
        let (receiver, request) = (transfers[Int(transfer)].receiver, transfers[Int(transfer)].request)
        free(transfer)
        guard peers[Int(receiver)].isUp else { return }
        peers[Int(receiver)].picker.pieceVerified(request)
        newsSoon(receiver)
        decideSoon(receiver)
    }
}
