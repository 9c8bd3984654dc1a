import Client
import Domain
import Foundation

/// The stages of one job and its deployment, by the times of the log's own events.
struct Stages {
    /// What of an event matters here.
    private struct Line: Decodable {
        struct Fields: Decodable {
            var stage: String?
            var region: String?
        }

        var time: String
        var type: String
        var data: Fields?
    }

    private struct Event {
        var seconds: Double
        var type: String
        var stage: String?
        var region: String?
    }

    private let events: [Event]

    init(_ client: GlobalClient) async throws {
        var events: [Event] = []
        for try await event in client.events(after: .zero, follow: false) {
            let line = try JSONDecoder().decode(Line.self, from: Data(event.json.utf8))
            guard let time = Timestamp(rfc3339: line.time) else {
                throw BenchmarkFailure("the log's time \(line.time) cannot be read")
            }
            events.append(
                Event(
                    seconds: Double(time.milliseconds) / 1000, type: line.type, stage: line.data?.stage,
                    region: line.data?.region))
        }
        self.events = events
    }

    /// One row a stage; heartbeats tell of stages to the second.
    func measurements(packWhole: Date, bytes: UInt64, budgetSeconds: Double) throws -> [Measurement] {
        // The attempt that counts is the last one that was claimed.
        guard let claim = events.lastIndex(where: { $0.type == "job-claimed" }) else {
            throw BenchmarkFailure("the log has no claim")
        }
        let claimed = events[claim].seconds
        let packing = try time("job-heartbeat", from: claim) { $0.stage == "pack" }
        let uploading = try time("job-heartbeat", from: claim) { $0.stage == "upload" }
        let uploaded = try time("pack-uploaded", from: claim)
        let stored = try time("pack-stored", from: claim) { $0.region == Fleet.region(0).rawValue }
        let mirrored = try time("pack-stored", from: claim) { $0.region == Fleet.region(1).rawValue }
        let deployed = try time("target-changed")
        let fetched = packWhole.timeIntervalSince1970
        let (enqueued, ended) = (try time("job-enqueued"), try time("deployment-ended"))
        func row(_ name: String, _ start: Double, _ end: Double, moves: Bool = true) -> Measurement {
            var row = Measurement(name: name, unit: "s", values: [end - start])
            row.ratios = [Measurement.Ratio(to: "the 30-minute budget", values: [(end - start) / budgetSeconds])]
            if moves, end > start { row.note = "\(number(Double(bytes) / (end - start) / 1e6)) MB/s" }
            return row
        }
        return [
            row("before the attempt that counts (queue, lost attempts, leases)", enqueued, claimed, moves: false),
            row("snapshot and build", claimed, packing), row("pack", packing, uploading),
            row("upload to region one", uploading, uploaded), row("read back in region one", uploaded, stored),
            row("mirror and read back in region two", stored, mirrored), row("fetch by the peer", deployed, fetched),
            row("unpack, verify, run, healthy, converged", fetched, ended), row("all of it", enqueued, ended),
        ]
    }

    private func time(
        _ type: String, from start: Int = 0, where isWanted: (Event) -> Bool = { _ in true }
    ) throws -> Double {
        guard let event = events[start...].first(where: { $0.type == type && isWanted($0) }) else {
            throw BenchmarkFailure("the log has no \(type) of this road")
        }
        return event.seconds
    }
}
