import Client
import Domain
import Logging
import Synchronization
import Wire

/// Brings the latest word about each app to the region, again and again until it is taken.
final class Reporter: Sendable {
    private let waiting = Mutex(WaitingReports())
    private let wake = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let peer: PeerName
    private let client: RegionClient
    private let seed: UInt64
    private let logger: Logger

    init(peer: PeerName, client: RegionClient, seed: UInt64, logger: Logger) {
        (self.peer, self.client, self.seed, self.logger) = (peer, client, seed, logger)
    }

    func report(_ app: AppName, _ report: PeerApp) {
        waiting.withLock { $0.report(app, report) }
        wake.continuation.yield()
    }

    func run() async {
        var backoff = Backoff(seed: seed)
        for await _ in wake.stream {
            while !Task.isCancelled {
                let words = waiting.withLock { $0.next }
                if words.isEmpty { break }
                do throws(ClientFailure) {
                    _ = try await client.report(
                        peer, words.map { PeerReportBody.App(app: $0.app, report: $0.report) })
                    waiting.withLock { $0.taken(words) }
                    backoff.succeeded()
                } catch {
                    logger.info("a report waits", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(backoff.nextMilliseconds()))
                }
            }
        }
    }
}
