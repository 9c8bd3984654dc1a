import Codec
import Dispatch
import Domain
import Ports
import Wire

/// What a region was at a moment, folded out of its log on threads of its own.
struct RegionPast: Sendable {
    let store: any LogStore
    private static let threads = DispatchQueue(label: "drover.region.past", attributes: .concurrent)
    private static let framesAtOnce = 4096

    struct Moment: Sendable {
        var state: RegionState
        /// The region's own.
        var sequence: LogSequence
    }

    /// A sequence is the global log's: the last event that knew no more of it is meant. Of a time it is the last event at
    /// or before it.
    ///
    /// Fails with `invalid` for a time after now, or before the first event.
    func state(at moment: LogMoment, now: Timestamp) async throws(Problem) -> Moment {
        let result: Result<Moment, Problem> = await withCheckedContinuation { continuation in
            Self.threads.async {
                do throws(Problem) {
                    let sequence = try place(of: moment, now: now)
                    continuation.resume(returning: .success(try fold(upTo: sequence)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// Positions of the global log that this region followed between two others.
    func followed(after: LogSequence, before: LogSequence) async throws(Problem) -> [LogPosition] {
        let result: Result<[LogPosition], Problem> = await withCheckedContinuation { continuation in
            Self.threads.async {
                do throws(Problem) {
                    var recalled = RecalledPositions(after: after, before: before)
                    try envelopes { _, event in
                        if let event { recalled.take(event) }
                        return true
                    }
                    continuation.resume(returning: .success(recalled.positions))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func place(of moment: LogMoment, now: Timestamp) throws(Problem) -> LogSequence {
        var (found, adopted) = (LogSequence.zero, LogSequence.zero)
        var (first, last) = (Timestamp?.none, Timestamp?.none)
        try envelopes { header, event in
            (first, last) = (first ?? header.time, header.time)
            switch event {
            case .taken(_, let sequence): adopted = sequence
            case .followed(let position), .refollowed(let position): adopted = position.sequence
            case .log, .packStored, .packLost, .packRemoved, .peerEnrolled, .peerChanged, .peerSilent, .peerReturned,
                nil:
                break
            }
            switch moment {
            case .sequence(let sequence): if adopted <= sequence { found = header.sequence }
            case .time(let time): if header.time <= time { found = header.sequence }
            }
            return true
        }
        guard case .time(let time) = moment else { return found }
        guard time <= max(now, last ?? now) else {
            throw Problem(
                .invalid, "at is \(time.rfc3339), but it is \(now.rfc3339): leave it out to see the present")
        }
        guard let first, first <= time else {
            throw Problem(
                .invalid,
                "at is \(time.rfc3339), before the log's first event: name a time from \((first ?? now).rfc3339) on")
        }
        return found
    }

    private func fold(upTo sequence: LogSequence) throws(Problem) -> Moment {
        var moment = Moment(state: Regional.initialState, sequence: .zero)
        try envelopes { header, event in
            guard header.sequence <= sequence else { return false }
            moment.sequence = header.sequence
            if let event { Regional.reduce(&moment.state, header, event) }
            return true
        }
        return moment
    }

    /// Gives every event, nil for those of types that this version does not know, as long as the body wants more.
    private func envelopes(_ body: (FrameHeader, RegionEvent?) -> Bool) throws(Problem) {
        let codec = RegionalCodec()
        var last = LogSequence.zero
        do {
            while case let batches = try store.read(after: last, maximumFrames: Self.framesAtOnce),
                let end = batches.last?.end.sequence
            {
                for frame in batches.lazy.flatMap(\.frames) {
                    guard body(frame.header, try codec.decode(frame)?.event) else { return }
                }
                last = end
            }
        } catch {
            throw Problem(.internalFailure, "the region's log cannot be read: \(error)")
        }
    }
}
