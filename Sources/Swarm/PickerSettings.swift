/// The limits of one fetch.
package struct PickerSettings: Hashable, Sendable {
    /// Requests under way at neighbours at once. More than the uploads a peer gives: one that waits there fills the pause
    /// between two others.
    package var requestsInFlight = 8
    /// No more of them than amount to so many bytes, but two at least: bounds memory. As many again may come of mirrors.
    package var windowBytes: UInt64 = 128 << 20
    /// Of these, at one neighbour; more where there are too few neighbours to fill `requestsInFlight`.
    package var requestsPerNeighbour = 2
    /// Of these, at a mirror, while any neighbour can be asked.
    package var requestsPerMirror = 2
    /// Pieces that arrived and are being hashed and written, above which nothing more is asked for; half of `windowBytes` at
    /// most.
    package var piecesBeingChecked = 4
    /// A request without a byte for this long has failed.
    package var stallMilliseconds: Int64 = 5_000
    /// No request is called slow before this.
    package var slowMinimumMilliseconds: Int64 = 4_000
    /// A request that takes this many times what requests take here typically has failed.
    package var slowFactor: Int64 = 8
    /// How long a failed source is left alone; doubled at each further failure in a row, up to the maximum.
    package var backoffMilliseconds: Int64 = 500
    package var maximumBackoffMilliseconds: Int64 = 60_000
    /// The same for a source that answered that it is busy.
    package var busyMilliseconds: Int64 = 50
    package var maximumBusyMilliseconds: Int64 = 2_000
    /// How long a source that sent a bad piece is banned; doubled at each further offence, up to the maximum.
    package var banMilliseconds: Int64 = 60_000
    package var maximumBanMilliseconds: Int64 = 3_600_000
    /// One offence is forgotten after this.
    package var banDecayMilliseconds: Int64 = 600_000
    /// Bans remembered of sources that are neighbours no more.
    package var maximumBans = 256
    /// With nothing to ask of anybody for this long, the mirror is asked for pieces that it gave to others.
    package var starvedMilliseconds: Int64 = 500
    /// How many of them at once.
    package var starvedPieces = 8
    /// In the endgame a piece that is under way is asked for once more after this many times the typical duration.
    package var endgameFactor: Int64 = 2

    package init() {}
}
