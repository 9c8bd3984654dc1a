package import Domain
package import Packs
package import Swarm
package import Wire

/// Which pieces somebody has.
package struct HaveMap: Hashable, Sendable {
    /// Differs whenever the pieces do, also across restarts of the server.
    package var version: UInt64
    package var pieces: PieceSet

    package init(version: UInt64, pieces: PieceSet) {
        (self.version, self.pieces) = (version, pieces)
    }
}

/// A pack that a `PieceServer` serves, whole or growing.
package protocol PackSource: AnyObject, Sendable {
    var layout: PieceLayout { get }
    /// The Merkle root over the packed bytes; names the content.
    var root: Digest { get }
    var manifestBytes: [UInt8] { get }
    /// Without web seeds.
    var metainfo: Metainfo { get }
    /// Where the packed bytes stand: the first of these that is there. A file that is whole moves to a later one.
    var paths: [String] { get }
    /// Verified pieces only.
    var have: HaveMap { get }

    /// Fires when pieces come.
    var haveChanges: ChangeSignal { get }

    /// What the named peer may take. `wanted`: pieces it lacks that no neighbour of its has; `held`: pieces on offer to it
    /// that it has by now. Nil where no ledger is kept: anybody may take anything.
    func offer(to peer: PeerName, wanted: [Int], held: [Int]) -> MirrorOffer?

    /// Fires when somebody's offer may be another one than it was.
    var offerChanges: ChangeSignal { get }

    /// So many packed bytes went out, to a peer that named itself or to somebody: told chunk by chunk, so that what is
    /// broken off counts as well.
    func sent(bytes: UInt64, to peer: PeerName?)

    /// The named peer is about to be sent these bytes.
    func begun(_ range: Range<UInt64>, to peer: PeerName?)

    /// All of these bytes were sent.
    func served(_ range: Range<UInt64>, to peer: PeerName?)
}

/// What a `PieceServer` serves.
package protocol PackCatalog: Sendable {
    /// Nil when there is no such pack here.
    func pack(_ name: PackName) -> (any PackSource)?

    var list: PackListAnswer { get }
}
