import ArgumentParser
import Domain
import Wire

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Play a log again: each event in words, and what it changed in the state.",
        discussion: """
            --from and --until take a sequence or an RFC 3339 time in UTC; --until also takes a SQL statement of one \
            truth value, and then the last event is the first one at which it holds. --show names what is shown of the \
            state: jobs, packs, deployments, targets, regions, levels, workers; of a region's log packs, targets, \
            regions, peers, apps. --step waits for a key after each event: space or return goes on, n goes to the next \
            event of the same job, a plays the rest, q ends. --json prints one object an event.

            \(LogPlace.help)
            """)

    @Option(help: ArgumentHelp("The first event.", valueName: "sequence or time")) var from: LogMoment?
    @Option(help: ArgumentHelp("The last event.", valueName: "sequence, time or SQL")) var until: String?
    @Option(help: ArgumentHelp("Only these parts of the state.", valueName: "jobs,targets,...")) var show: String?
    @Flag(help: "Wait for a key after each event.") var step = false
    @Flag(help: "Print JSON, one object an event.") var json = false
    @Argument(help: "Which log.") var log: String

    struct Report: Encodable {
        var sequence: LogSequence
        var time: String
        var type: String
        var actor: String
        var words: String
        var data: JSONText?
        var changes: [StateChanges.Change]
    }

    private static let eventsAtOnce: UInt64 = 1000

    func run() async throws {
        if step, json { throw CommandStop(.refused, "drover: --step is for people, --json for programs: take one") }
        var keyboard = step ? Keyboard() : nil
        if step, keyboard == nil { throw CommandStop(.refused, "drover: --step needs a terminal") }
        // Dropping it gives the terminal back, however this ends.
        defer { keyboard = nil }
        try await LogPlace.with(log) { log in try await play(log, keyboard) }
    }

    private func play(_ log: any AskedLog, _ keyboard: Keyboard?) async throws {
        let shown = show?.split(separator: ",").map { $0.trimmingPrefix(" ") }.map(String.init)
        let changes = try StateChanges(log: log, shown: shown)
        let first = try await first(log)
        let last = try await last(log, from: first)
        var (position, pace) = (LogSequence(rawValue: first.rawValue - 1), Pace.step)
        while position < last {
            let end = LogSequence(rawValue: min(last.rawValue, position.rawValue + Self.eventsAtOnce))
            let changed = try await changes.changes(after: position, upTo: end)
            for event in try await log.events(where: "e.sequence > \(position) AND e.sequence <= \(end)") {
                try say(event, changed[event.sequence] ?? [])
                guard let keyboard, event.sequence < last, pace.stops(at: event) else { continue }
                pace = ask(keyboard, event)
                if pace == .end { return }
            }
            position = end
        }
    }

    private func first(_ log: any AskedLog) async throws -> LogSequence {
        guard let from else { return LogSequence(rawValue: 1) }
        return max(try await log.sequence(of: from), LogSequence(rawValue: 1))
    }

    private func last(_ log: any AskedLog, from first: LogSequence) async throws -> LogSequence {
        guard let until else { return try await log.head() }
        let last: LogSequence
        if let moment = LogMoment(until) {
            last = try await log.sequence(of: moment)
        } else {
            var bisection = Bisection(log: log, statement: until)
            guard let found = try await bisection.firstTruth(from: first) else {
                throw CommandStop(
                    .failed,
                    "drover: from sequence \(first) to the log's end it never holds "
                        + "(\(bisection.statements) statements asked)")
            }
            last = found
        }
        guard last >= first else {
            throw CommandStop(.refused, "drover: --until is sequence \(last), before --from, sequence \(first)")
        }
        return last
    }

    private func say(_ event: ToldEvent, _ changes: [StateChanges.Change]) throws {
        if json {
            return try Terminal.say(
                json: Report(
                    sequence: event.sequence, time: event.time, type: event.type,
                    actor: event.frame.header.actor.description, words: event.words, data: event.data,
                    changes: changes))
        }
        for line in Self.lines(event, changes) { Terminal.say(line) }
    }

    /// The event, and below it a line a change.
    static func lines(_ event: ToldEvent, _ changes: [StateChanges.Change]) -> [String] {
        let number = String(repeating: " ", count: max(0, 6 - event.sequence.description.count)) + "\(event.sequence)"
        let clock = event.time.dropFirst("2026-01-01T".count).dropLast()
        let head = "\(Terminal.bold(number))  \(Terminal.dimmed(String(clock)))  \(event.words)"
        return [head]
            + changes.map { change in
                let before = change.before.map { "\(Terminal.colored(state: $0)) -> " } ?? ""
                return "\(String(repeating: " ", count: 22))\(change.subject): \(before)"
                    + Terminal.colored(state: change.after ?? "gone")
            }
    }

    /// How far to play before the next question.
    private enum Pace: Equatable {
        case step
        /// To the next event of this job.
        case job(JobID)
        case rest
        case end

        func stops(at event: ToldEvent) -> Bool {
            switch self {
            case .step: true
            case .job(let job): event.job == job
            case .rest, .end: false
            }
        }
    }

    private func ask(_ keyboard: Keyboard, _ event: ToldEvent) -> Pace {
        let job = event.job.map { "  n next of job \($0)" } ?? ""
        Terminal.prompt("      space next\(job)  a all  q quit")
        defer { Terminal.prompt("") }
        while true {
            switch keyboard.next() {
            case " ", "\n", "\r": return .step
            case "n": if let job = event.job { return .job(job) }
            case "a": return .rest
            case "q", nil, "\u{4}": return .end
            default: continue
            }
        }
    }
}
