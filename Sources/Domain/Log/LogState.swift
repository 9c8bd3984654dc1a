/// What a log's own events amount to: the same part of a global and a regional state.
package struct LogState: Hashable, Sendable, Codable {
    package internal(set) var epoch = Epoch.first
    package internal(set) var settings = Settings()
    /// Event types up to this level may be written.
    package internal(set) var level: UInt64 = 1
    package internal(set) var engineStarts: UInt64 = 0
    /// When refusals of one (job, attempt, kind) were last recorded; entries older than `refusalMemorySeconds` go.
    package internal(set) var refusals: [String: Timestamp] = [:]

    /// What this version may write: the level that its engines start with.
    package static let supportedLevel: UInt64 = 2
    /// The level of retention's events.
    package static let retentionLevel: UInt64 = 2

    /// At most one record a minute of each kind of refusal.
    package static let refusalIntervalSeconds: Int64 = 60
    package static let refusalMemorySeconds: Int64 = 3600
    package static let maximumRefusals = 10_000

    package init() {}

    /// Takes one fact. Total.
    package mutating func reduce(_ event: LogEvent, at time: Timestamp) {
        switch event {
        case .engineStarted(_, let level):
            engineStarts += 1
            self.level = max(self.level, level)
        case .engineStalled, .clockJumped, .stateHashed, .backupProved, .payloadRedacted: break
        case .epochStarted(let epoch, _): self.epoch = max(self.epoch, epoch)
        case .levelRaised(let level): self.level = max(self.level, level)
        case .settingsChanged(let settings): self.settings = settings
        case .refused(let attempt, _, _): remember(attempt, at: time)
        }
    }

    /// The event that records a refusal, unless one of its kind was recorded within the last minute.
    package func refusalEvent(_ refusal: Refusal, count: UInt64, now: Timestamp) -> LogEvent? {
        guard let attempt = refusal.attempt else { return nil }
        if let last = refusals[name(attempt)], now.millisecondsSince(last) < Self.refusalIntervalSeconds * 1000 {
            return nil
        }
        return .refused(attempt, code: refusal.code, count: count)
    }

    private mutating func remember(_ attempt: RefusedAttempt, at time: Timestamp) {
        refusals[name(attempt)] = time
        guard refusals.count > Self.maximumRefusals else { return }
        let oldest = time.adding(seconds: -Self.refusalMemorySeconds)
        refusals = refusals.filter { $0.value >= oldest }
        if refusals.count > Self.maximumRefusals { refusals = [name(attempt): time] }
    }

    private func name(_ attempt: RefusedAttempt) -> String {
        "\(attempt.job) \(attempt.attempt) \(attempt.command)"
    }
}
