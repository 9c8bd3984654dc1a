import Client
import Domain
import Logging
import Synchronization
import Wire

/// Brings the latest word about each app to the region, again and again until it is taken.
final class Reporter: Sendable {
    private struct State {
        /// What has not been taken yet.
        var waiting: [AppName: PeerApp] = [:]
    }

    private let state = Mutex(State())
    private let wake = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let peer: PeerName
    private let client: RegionClient
    private let seed: UInt64
    private let logger: Logger

    init(peer: PeerName, client: RegionClient, seed: UInt64, logger: Logger) {
        (self.peer, self.client, self.seed, self.logger) = (peer, client, seed, logger)
    }

    func report(_ app: AppName, _ report: PeerApp) {
        state.withLock { $0.waiting[app] = report }
        wake.continuation.yield()
    }

    func run() async {
        var backoff = Backoff(seed: seed)
        for await _ in wake.stream {
            while !Task.isCancelled {
                let waiting = state.withLock { $0.waiting }
                if waiting.isEmpty { break }
                do throws(ClientFailure) {
                    try await send(waiting)
                    backoff.succeeded()
                } catch {
                    logger.info("a report waits", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(backoff.nextMilliseconds()))
                }
            }
        }
    }

    private func send(_ waiting: [AppName: PeerApp]) async throws(ClientFailure) {
        let apps = waiting.keys.sorted().compactMap { app in
            waiting[app].map { PeerReportBody.App(app: app, report: $0) }
        }
        _ = try await client.report(peer, apps)
        state.withLock { state in
            for (app, report) in waiting where state.waiting[app] == report { state.waiting[app] = nil }
        }
    }
}
