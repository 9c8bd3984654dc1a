package import Domain
package import Packs
package import Ports
package import Swarm
internal import Synchronization
package import Wire

/// A pack on this machine's disk, as others see it: on a peer while it fetches and after, on a mirror with a ledger.
package final class SharedPack: PackSource {
    package let layout: PieceLayout
    package let root: Digest
    package let manifestBytes: [UInt8]
    package let metainfo: Metainfo
    package let paths: [String]
    private let clock: any ClockSource
    package let haveChanges = ChangeSignal()
    package let offerChanges = ChangeSignal()
    private struct State: Sendable {
        var have: HaveMap
        var ledger: MirrorLedger?
        var servedBytes: UInt64 = 0
    }

    private let state: Mutex<State>
    private let onSent: @Sendable (_ bytes: UInt64, _ peer: PeerName?) -> Void

    /// `verified`: the pieces that were hashed and are in the file. With `ledger` settings it is a mirror's. `onSent`
    /// hears of everything that goes out.
    package init(
        manifest: Manifest, paths: [String], verified: PieceSet, clock: any ClockSource,
        ledger: MirrorLedgerSettings? = nil, seed: UInt64 = 0,
        onSent: @escaping @Sendable (_ bytes: UInt64, _ peer: PeerName?) -> Void = { _, _ in }
    ) throws(TransferFailure) {
        self.onSent = onSent
        layout = try manifest.layout()
        (root, manifestBytes, self.paths, self.clock) = (manifest.totals.root, manifest.bytes, paths, clock)
        let version = UInt64(clamping: clock.read().wallMilliseconds)
        metainfo = manifest.metainfo()
        state = Mutex(
            State(
                have: HaveMap(version: version, pieces: verified),
                ledger: ledger.map {
                    MirrorLedger(available: verified, settings: $0, seed: seed, firstVersion: version)
                }))
    }

    package var have: HaveMap { state.withLock { $0.have } }
    /// Packed bytes sent to anybody since the start.
    package var servedBytes: UInt64 { state.withLock { $0.servedBytes } }

    private var now: Timestamp { Timestamp(milliseconds: clock.read().monotonicMilliseconds) }

    /// Pieces were hashed and are in the file.
    package func piecesVerified(_ pieces: some Sequence<Int>) {
        state.withLock { state in
            for piece in pieces where state.have.pieces.insert(piece) {
                state.have.version += 1
                state.ledger?.pieceAvailable(piece)
            }
        }
        haveChanges.fire()
        offerChanges.fire()
    }

    package func offer(to peer: PeerName, wanted: [Int], held: [Int]) -> MirrorOffer? {
        let now = now
        let offer = state.withLock { $0.ledger?.asked(by: peer, wanted: wanted, held: held, now: now) }
        if !held.isEmpty { offerChanges.fire() }
        return offer
    }

    package func sent(bytes: UInt64, to peer: PeerName?) {
        state.withLock { $0.servedBytes += bytes }
        onSent(bytes, peer)
    }

    package func begun(_ range: Range<UInt64>, to peer: PeerName?) {
        guard let peer else { return }
        let now = now
        state.withLock { state in
            guard state.ledger != nil else { return }
            for piece in layout.pieces(within: range) { state.ledger?.pieceBegun(piece, to: peer, now: now) }
        }
    }

    package func served(_ range: Range<UInt64>, to peer: PeerName?) {
        let now = now
        let hasChanged = state.withLock { state in
            guard let peer, state.ledger != nil else { return false }
            for piece in layout.pieces(within: range) { state.ledger?.pieceGiven(piece, to: peer, now: now) }
            return true
        }
        if hasChanged { offerChanges.fire() }
    }
}

extension Manifest {
    /// How its packed bytes are cut.
    package func layout() throws(TransferFailure) -> PieceLayout {
        guard let layout = PieceLayout(pieceBytes: pieceLength, totalBytes: totals.packedLength),
            layout.pieceCount == pieces.count
        else {
            throw TransferFailure(
                .badManifest, "the manifest's \(pieces.count) pieces do not fit its length; fetch the manifest again")
        }
        return layout
    }

    package var packName: PackName { PackName(app: facts.app, build: facts.build) }
}

/// The packs one server serves, by name.
package final class PackShelf: PackCatalog {
    private let packs = Mutex<[PackName: any PackSource]>([:])
    /// What manifests here are signed with, where it is told to whoever asks.
    private let releaseKey: [UInt8]?

    package init(releaseKey: [UInt8]? = nil) { self.releaseKey = releaseKey }

    package func pack(_ name: PackName) -> (any PackSource)? { packs.withLock { $0[name] } }

    /// Replaces what stood there.
    package func put(_ pack: any PackSource, as name: PackName) { packs.withLock { $0[name] = pack } }

    /// Takes away whatever has this name.
    package func remove(_ name: PackName) { packs.withLock { $0[name] = nil } }

    /// Takes away the pack with this content; another one that has its name by now stays.
    package func remove(_ name: PackName, root: Digest) {
        packs.withLock { packs in
            if packs[name]?.root == root { packs[name] = nil }
        }
    }

    package var list: PackListAnswer {
        let packs = packs.withLock { $0.sorted { $0.key < $1.key } }
        return PackListAnswer(
            packs: packs.map { name, pack in
                PackListAnswer.Pack(
                    app: name.app, build: name.build, root: pack.root, packedBytes: pack.layout.totalBytes)
            },
            releaseKey: releaseKey.map { hexadecimal($0) })
    }

    /// Ascending.
    package var names: [PackName] { packs.withLock { $0.keys.sorted() } }
}
