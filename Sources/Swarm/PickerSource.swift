import Domain

/// Whom pieces can be asked of, numbered by the fetch's owner.
package struct SourceID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: SourceID, right: SourceID) -> Bool { left.rawValue < right.rawValue }
}

package enum SourceKind: String, Hashable, Sendable, CaseIterable {
    case peer
    case mirror
}

/// What a mirror lets this peer take.
package enum SourceOffer: Hashable, Sendable {
    /// It has not said yet.
    case unknown
    /// It keeps no ledger: whatever it has.
    case everything
    /// These, which it gives to nobody else meanwhile.
    case pieces(PieceSet)
}

/// Why a request ended without its bytes.
package enum RequestFailure: String, Hashable, Sendable, CaseIterable {
    /// No connection, a broken one, nonsense or silence.
    case unreachable
    /// It has no upload to spare just now.
    case busy
    /// It says that it does not have the piece.
    case missing
}

/// What is known of one source.
struct PickerSource: Hashable, Sendable {
    let id: SourceID
    let kind: SourceKind
    var have: PieceSet
    /// Meaningful for a mirror only.
    var offer: SourceOffer
    /// Requests under way at it.
    var requests = 0
    /// Bytes a second, smoothed; nil before the first piece.
    var rate: Int64?
    /// It cannot be followed: nobody knows what it has.
    var isSilent = false
    /// Failures since the last success.
    var failures = 0
    var refusals = 0
    /// Not asked before this.
    var restsUntil = Timestamp.zero
    /// Not asked before this, but what it has still counts.
    var busyUntil = Timestamp.zero

    init(_ id: SourceID, _ kind: SourceKind, pieceCount: Int) {
        (self.id, self.kind) = (id, kind)
        have = PieceSet(pieceCount: pieceCount)
        offer = .unknown
    }

    func isUsable(_ now: Timestamp) -> Bool { !isSilent && restsUntil <= now }

    /// Several requests that fail together, of one outage, count once.
    mutating func failed(_ now: Timestamp, _ settings: PickerSettings) {
        guard restsUntil <= now else { return }
        failures += 1
        restsUntil = now.adding(
            milliseconds: doubled(
                settings.backoffMilliseconds, times: failures - 1, maximum: settings.maximumBackoffMilliseconds))
    }

    mutating func refused(_ now: Timestamp, _ settings: PickerSettings) {
        guard busyUntil <= now else { return }
        refusals += 1
        busyUntil = now.adding(
            milliseconds: doubled(
                settings.busyMilliseconds, times: refusals - 1, maximum: settings.maximumBusyMilliseconds))
    }

    mutating func succeeded(rate measured: Int64) {
        (failures, refusals) = (0, 0)
        rate = smoothed(rate, measured)
    }
}

/// Why and how long a source is not asked for anything.
struct SourceBan: Hashable, Sendable {
    var offences = 0
    var since = Timestamp.zero
    var until = Timestamp.zero

    mutating func offended(_ now: Timestamp, _ settings: PickerSettings) {
        let forgotten = max(0, now.millisecondsSince(since)) / settings.banDecayMilliseconds
        offences = max(0, offences - Int(min(forgotten, Int64(offences)))) + 1
        since = now
        until = now.adding(
            milliseconds: doubled(
                settings.banMilliseconds, times: offences - 1, maximum: settings.maximumBanMilliseconds))
    }
}

/// A duration doubled so many times, up to a maximum.
func doubled(_ milliseconds: Int64, times: Int, maximum: Int64) -> Int64 {
    guard times < 32 else { return maximum }
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1 << Int64(times))
    return overflow ? maximum : min(product, maximum)
}

/// A quarter of the new value, three of the old.
func smoothed(_ old: Int64?, _ new: Int64) -> Int64 {
    guard let old else { return new }
    return old - old / 4 + new / 4
}
