internal import Swarm

package struct AnnounceSettings: Hashable, Sendable {
    /// After the first announcement; each next pause is twice as long, up to what the tracker asks for.
    package var firstMilliseconds: Int64 = 100
    /// What the tracker may ask for.
    package var milliseconds: ClosedRange<Int64> = 1_000...10_000

    package init() {}
}

/// What a tracker said: whom to ask, and when to come again.
package struct Announced: Hashable, Sendable {
    package var sources: FetchSources
    package var milliseconds: Int64

    package init(sources: FetchSources, milliseconds: Int64) {
        (self.sources, self.milliseconds) = (sources, milliseconds)
    }
}

extension PackFetcher {
    /// Fetches the pack, as `run` does, while a tracker is told of it and says whom to ask. Peers that start together are
    /// told only of those who announced before them: until they know each other, they take from the mirror what another
    /// has. So the first announcements come soon after one another.
    package func run(
        announcing settings: AnnounceSettings = AnnounceSettings(), first: Announced? = nil,
        announce: @escaping @Sendable () async throws -> Announced
    ) async throws {
        if let first { setSources(first.sources) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.run() }
            group.addTask { await self.keepAnnounced(settings, isKnown: first != nil, announce) }
            try await group.next()
            group.cancelAll()
        }
    }

    private func keepAnnounced(
        _ settings: AnnounceSettings, isKnown: Bool, _ announce: @Sendable () async throws -> Announced
    ) async {
        var (early, failures) = (settings.firstMilliseconds, Int64(isKnown ? 0 : 1))
        var pause = isKnown ? early : 0
        var generator = SeededGenerator(seed: seed)
        while true {
            try? await Task.sleep(for: .milliseconds(pause))
            guard !Task.isCancelled else { return }
            if let answer = try? await announce() {
                setSources(answer.sources)
                failures = 0
                early = min(early * 2, settings.milliseconds.upperBound)
                pause = min(
                    early, max(settings.milliseconds.lowerBound, answer.milliseconds), settings.milliseconds.upperBound)
            } else {
                let whole = min(
                    self.settings.retryMilliseconds << min(failures, 20), self.settings.maximumRetryMilliseconds)
                failures += 1
                pause = whole / 2 + Int64(generator.below(Int(whole / 2) + 1))
            }
        }
    }
}
