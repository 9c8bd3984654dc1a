import Domain

/// The silences of regions in a recorded log under another `region-silent-seconds`.
///
/// A silence is noticed when it has lasted that long, so its beginning is known; and a region that comes back says so
/// in an event. Those that ended before they were noticed are not in the log.
struct Silences {
    typealias Command = RecordedCommand<Global>

    /// Ids of commands that are not decided where they are recorded, with the reason.
    private(set) var moved: [LogSequence: String] = [:]
    /// Where they are decided instead, by time.
    private var waiting: [(time: Timestamp, command: Command)] = []

    init() {}

    init(_ commands: [Command], change: (inout Settings) -> Void) {
        var settings = Settings()
        for (place, command) in commands.enumerated() {
            guard case .command(let asked) = command.content else { continue }
            if case .changeSettings(let new) = asked { settings = new }
            guard case .fleet(.regionSilent(let region)) = asked else { continue }
            var other = settings
            change(&other)
            let seconds = Int64(other.regionSilentSeconds) - Int64(settings.regionSilentSeconds)
            if seconds != 0 { move(command, bySeconds: seconds, region, commands[(place + 1)...]) }
        }
        waiting.sort { ($0.time, $0.command.header.sequence) < ($1.time, $1.command.header.sequence) }
    }

    private mutating func move(
        _ command: Command, bySeconds seconds: Int64, _ region: RegionName, _ later: ArraySlice<Command>
    ) {
        let time = command.time.adding(seconds: seconds)
        let spoke = later.first { $0.header.actor == .region(region) }
        if let spoke, spoke.time <= time {
            moved[command.header.command] = "region \(region) spoke before that was due"
        } else if time > later.last?.time ?? command.time {
            moved[command.header.command] = "it would not be due before the log's end"
        } else {
            moved[command.header.command] =
                "it would have happened \(abs(seconds)) s \(seconds < 0 ? "earlier" : "later")"
            waiting.append((time, command))
        }
    }

    /// The next one that is due at a time at the latest.
    mutating func next(until time: Timestamp) -> (time: Timestamp, command: Command)? {
        guard let first = waiting.first, first.time <= time else { return nil }
        return waiting.removeFirst()
    }
}
