import Codec
import Dispatch
import Domain
import Ports
import Wire

/// One peer's story out of the region's log, read on threads of its own.
struct PeerHistory: Sendable {
    let store: any LogStore
    private static let threads = DispatchQueue(label: "drover.region.history", attributes: .concurrent)
    /// The newest; older ones are left out.
    static let maximumEvents = 10_000
    private static let framesAtOnce = 4096

    /// Its own events, and the targets that came since it is there. Nil where the log has no such peer.
    func events(of peer: PeerName) async throws(Problem) -> PeerEventsAnswer? {
        let result: Result<PeerEventsAnswer?, StoreFailure> = await withCheckedContinuation { continuation in
            Self.threads.async {
                do throws(StoreFailure) {
                    continuation.resume(returning: .success(try read(peer)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        do throws(StoreFailure) { return try result.get() } catch {
            throw Problem(.internalFailure, "the region's log cannot be read: \(error.message)")
        }
    }

    private func read(_ peer: PeerName) throws(StoreFailure) -> PeerEventsAnswer? {
        var (frames, isTruncated, isThere) = ([Frame](), false, false)
        var last = LogSequence.zero
        while case let batches = try store.read(after: last, maximumFrames: Self.framesAtOnce),
            let end = batches.last?.end.sequence
        {
            for frame in batches.lazy.flatMap(\.frames) where concerns(peer, frame, &isThere) { frames.append(frame) }
            if frames.count > Self.maximumEvents {
                frames.removeFirst(frames.count - Self.maximumEvents)
                isTruncated = true
            }
            last = end
        }
        guard isThere else { return nil }
        return PeerEventsAnswer(
            events: frames.map { String(decoding: NDJSON.line($0), as: UTF8.self) }, isTruncated: isTruncated,
            sequence: last)
    }

    private func concerns(_ peer: PeerName, _ frame: Frame, _ isThere: inout Bool) -> Bool {
        switch try? RegionalCodec().decode(frame)?.event {
        case .peerEnrolled(let name, _, _)?, .peerChanged(let name, _, _)?, .peerSilent(let name)?,
            .peerReturned(let name)?:
            if name == peer { isThere = true }
            return name == peer
        case .taken(.target, at: _)?: return isThere
        case .log?, .taken?, .followed?, .refollowed?, .packStored?, .packLost?, .packRemoved?, nil:
            return false
        }
    }
}
