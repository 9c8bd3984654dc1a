import Client
import Codec
import Domain
import Foundation
import Wire

extension RunningLog {
    /// A peer's story, which the region that has it is asked for.
    func lines(ofPeer name: PeerName) async throws -> [Story.Line] {
        var deaf: [RegionName] = []
        for region in try await client.regions().regions where region.status != .removed {
            do throws(ClientFailure) {
                guard try await client.peers(of: region.name).peers.contains(where: { $0.name == name }) else {
                    continue
                }
                return Story.lines(ofPeer: try told(try await client.events(of: name, in: region.name)))
            } catch {
                deaf.append(region.name)
            }
        }
        let unasked = deaf.map(\.rawValue).joined(separator: ", ")
        throw CommandStop(
            deaf.isEmpty ? .refused : .failed,
            deaf.isEmpty
                ? "drover: no region has a peer \(name): drover peers lists them"
                : "drover: no other region has a peer \(name), and these do not answer: \(unasked)")
    }

    private func told(_ answer: PeerEventsAnswer) throws(ClientFailure) -> [ToldEvent] {
        if answer.isTruncated { Terminal.complain("only the newest \(answer.events.count) events") }
        var events: [ToldEvent] = []
        let codec = RegionalCodec()
        for line in answer.events {
            guard case .event(let frame)? = try? NDJSON.parse(Array(line.utf8)) else {
                throw .badAnswer("an event of the peer cannot be read: upgrade drover")
            }
            events.append(
                ToldEvent(
                    frame: frame, type: codec.typeName(frame.type) ?? "\(frame.type)",
                    data: NDJSON.data(
                        EncodedEvent(
                            type: frame.type, schemaRevision: frame.schemaRevision, payload: frame.payload)
                    ).map(JSONText.init), words: frameWords(frame, codec) { $0.words(by: $1) }))
        }
        return events
    }
}
