import Codec
import Domain
import Ports

/// Looks for the fewest commands of a log that, decided again, still show something.
///
/// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002): parts of ever smaller
/// size are left out as long as what is left still shows it. At the end no single command can be left out. The same
/// input takes the same steps.
struct Shrinking {
    typealias Command = RecordedCommand<Global>

    /// The best so far, and its log.
    private(set) var commands: [Command]
    private(set) var log: AlternativeLog
    /// Candidates that were looked at.
    private(set) var attempts = 0
    /// Whether it ended because there may be no more attempts.
    private(set) var isCut = false
    private let identity: LogIdentity
    private let maximumAttempts: Int
    /// Whether a candidate's log shows it.
    private let shows: (AlternativeLog) async throws -> Bool
    private let progress: (Shrinking) -> Void
    /// By the hash of the chain: many candidates come to the same log.
    private var known: [Digest: Bool] = [:]

    init(
        _ commands: [Command], identity: LogIdentity, maximumAttempts: Int,
        progress: @escaping (Shrinking) -> Void = { _ in },
        shows: @escaping (AlternativeLog) async throws -> Bool
    ) {
        (self.identity, self.maximumAttempts) = (identity, maximumAttempts)
        (self.shows, self.progress) = (shows, progress)
        (log, self.commands) = AlternativeLog.decided(commands, identity: identity)
    }

    /// The commands that are kept whatever happens: a log begins with its engine's start.
    private var pinned: Int { commands.first?.isStart == true ? 1 : 0 }

    /// - Returns: false where not even the whole shows it.
    mutating func run() async throws -> Bool {
        guard try await isShown(log) else { return false }
        _ = try await take(commands.filter { !$0.isHeartbeat && !$0.isStateHash })
        try await leaveOut()
        try await shortenTimes()
        // A sooner end may make a command needless, and so may a later one, such as settings that shorten something.
        try await leaveOut()
        if try await leaveOutStretched() { try await shortenTimes() }
        _ = try await take(
            commands.map { command in
                var command = command
                command.header.key = nil
                return command
            })
        try await moveStart()
        return true
    }

    /// Takes a candidate that shows it.
    private mutating func take(_ candidate: [Command]) async throws -> Bool {
        let (log, kept) = AlternativeLog.decided(candidate, identity: identity)
        guard log.head != self.log.head, try await isShown(log) else { return false }
        (self.log, commands) = (log, kept)
        progress(self)
        return true
    }

    private mutating func isShown(_ log: AlternativeLog) async throws -> Bool {
        if let known = known[log.head.chain] { return known }
        guard attempts < maximumAttempts else {
            isCut = true
            return false
        }
        attempts += 1
        if attempts % 16 == 0 { progress(self) }
        let isShown = try await shows(log)
        known[log.head.chain] = isShown
        return isShown
    }

    private mutating func leaveOut() async throws {
        var size = max(1, (commands.count - pinned) / 2)
        while true {
            var (start, hasChanged) = (pinned, false)
            while start < commands.count, !isCut {
                var candidate = commands
                candidate.removeSubrange(start..<min(start + size, candidate.count))
                // What was left out makes room for the next part at the same place.
                if try await take(candidate) { hasChanged = true } else { start += size }
            }
            if isCut || size == 1 && !hasChanged { return }
            if !hasChanged { size = max(1, size / 2) }
            size = min(size, max(1, commands.count - pinned))
        }
    }

    /// Moves each command as near to the one before it as it still shows it, in whole seconds where it must not be at once.
    private mutating func shortenTimes() async throws {
        for place in commands.indices.dropFirst() where place < commands.count {
            let gap = gap(at: place)
            guard gap > 0, try await !take(moved(place, by: gap)) else { continue }
            // Those behind it may need their distance from others before it.
            if try await take(moved(place, by: gap, alone: true)) { continue }
            var (short, long) = (Int64(0), (gap + 999) / 1000)
            // Invariant: it shows with a gap of `long` seconds (or the recorded one), and not with `short`.
            while long - short > 1, !isCut {
                let middle = short + (long - short) / 2
                if try await take(moved(place, by: self.gap(at: place) - middle * 1000)) {
                    long = middle
                } else {
                    short = middle
                }
            }
        }
    }

    /// How many times longer everything may take where that makes a command needless.
    private static let stretch: Int64 = 20

    private mutating func leaveOutStretched() async throws -> Bool {
        var hasChanged = false
        var place = pinned
        while place < commands.count, !isCut {
            let start = commands[0].time
            var candidate = commands.map { command in
                var command = command
                command.time = start.adding(milliseconds: command.time.millisecondsSince(start) * Self.stretch)
                return command
            }
            candidate.remove(at: place)
            if try await take(candidate) { hasChanged = true } else { place += 1 }
        }
        return hasChanged
    }

    private func gap(at place: Int) -> Int64 {
        place < commands.count ? commands[place].time.millisecondsSince(commands[place - 1].time) : 0
    }

    /// Earlier by so much: the command, and those behind it unless it moves alone.
    private func moved(_ place: Int, by milliseconds: Int64, alone: Bool = false) -> [Command] {
        commands.enumerated().map { index, command in
            var command = command
            if index == place || index > place && !alone {
                command.time = command.time.adding(milliseconds: -milliseconds)
            }
            return command
        }
    }

    /// Lets the log begin at a round time.
    private mutating func moveStart() async throws {
        guard let first = commands.first?.time, let round = Timestamp(rfc3339: "2026-01-01T00:00:00Z") else { return }
        _ = try await take(moved(0, by: first.millisecondsSince(round)))
    }
}
