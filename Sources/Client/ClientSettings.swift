package import AsyncHTTPClient
import NIOCore

/// The limits of calls, each with its unit.
package struct ClientSettings: Hashable, Sendable {
    /// How long one try may take until its answer begins, beside the `wait` it asks for.
    package var requestTimeoutMilliseconds: Int64 = 15_000
    /// Tries after the first.
    package var maximumRetries = 4
    /// Before the first retry; it doubles up to the maximum, and half of it is random.
    package var firstBackoffMilliseconds: Int64 = 100
    package var maximumBackoffMilliseconds: Int64 = 5_000
    /// An answer that is held in memory.
    package var maximumAnswerBytes = 64 << 20
    /// One line of the event stream.
    package var maximumLineBytes = 256 << 10

    package init() {}

    /// Answers at once or not at all: for a person at a terminal, and for loops that retry themselves.
    package static var withoutRetries: ClientSettings {
        var settings = ClientSettings()
        settings.maximumRetries = 0
        return settings
    }

    /// How long to wait before retry number `retry` (the first is 0), given a random number between 0 and 1.
    package func backoffMilliseconds(retry: Int, random: Double) -> Int64 {
        let doubled = Double(firstBackoffMilliseconds) * Double(UInt64(1) << UInt64(max(0, min(retry, 40))))
        let whole = min(doubled, Double(maximumBackoffMilliseconds))
        return Int64(whole / 2 + whole / 2 * random)
    }
}

/// The process's one HTTP client: its connections and threads are shared by everything that calls.
package enum SharedHTTPClient {
    /// Every long poll holds a connection, so the pool must be larger than the loops of one process.
    private static let connectionsPerHost = 4096
    private static let connectTimeoutSeconds: Int64 = 3
    /// Longest silence inside an answer: above the longest `wait`.
    private static let readTimeoutSeconds: Int64 = 90

    package static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        configuration.timeout = .init(
            connect: .seconds(connectTimeoutSeconds), read: .seconds(readTimeoutSeconds))
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
}
