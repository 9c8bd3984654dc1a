import ArgumentParser
import Codec
import Domain
import Foundation
import Ports
import Wire

struct WhatIfCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "whatif",
        abstract:
            "Decide a log's commands again under other settings or rules, and show what would have been otherwise.",
        discussion: """
            Held as recorded is the world outside: what people asked, what workers, regions and peers said and when, who \
            was silent from when on, when the engine started or stood still. Ends of leases, deployments, reissues and \
            when a region counts as silent are planned again. What the world would have said to something else that happens is not recorded: those events are told \
            as undecided, and the log goes on without them. A worker that asked for a job and there gets none goes on \
            asking.

            Without --set the log is decided under its own settings: then this version of drover decides otherwise than \
            the one that wrote it, wherever something differs. With --reducers another version of drover, as a child \
            process, decides the same commands under the same settings, and its log is compared with this version's, \
            event by event: + and - are events that only that one, or only this one, comes to.

            Settings: \(SettingChange.names.joined(separator: ", ")). Exit code 0 also where something differs.

            \(LogPlace.help)
            """)

    @Option(help: ArgumentHelp("A setting, from the start on.", valueName: "name=number")) var set: [String] = []
    @Option(help: ArgumentHelp("Write the log as it would have been, to a new file.", valueName: "file"))
    var output: String?
    @Option(help: ArgumentHelp("Compare with what this other drover decides.", valueName: "program"))
    var reducers: String?
    @Option(help: "Show at most so many differences.") var limit = 100
    @Flag(help: "Print JSON: one object a difference, then one with the counts.") var json = false
    @Argument(help: "Which log: a global one.") var log: String

    func run() async throws {
        let changes = try changes()
        try await LogPlace.with(log) { log in
            try log.requireGlobal()
            let whatif = try await decide(log, changes)
            if let output { try LogText.write(whatif.log.batches, to: output) }
            if let reducers { return try await compare(whatif, with: OtherReducers(program: reducers), log) }
            let told = whatif.differences.map { ToldDifference($0, log) }
            if json { return try say(json: told, whatif) }
            say(told, whatif, changes)
            guard !whatif.differences.isEmpty else { return }
            try await sayEnd((log, try await log.head()), whatif.log.batches)
        }
    }

    func changes() throws -> [SettingChange] {
        var settings = Settings()
        let changes = try set.map { text in
            guard let change = SettingChange(text) else {
                let names = SettingChange.names.joined(separator: ", ")
                throw CommandStop(.refused, "drover: --set \(text): write NAME=NUMBER with one of \(names)")
            }
            change.apply(to: &settings)
            return change
        }
        // Bounds of one number; what two of them may be together depends on the log.
        settings.heartbeatSeconds = min(settings.heartbeatSeconds, settings.leaseSeconds)
        if let problem = settings.problem { throw CommandStop(.refused, "drover: \(problem.message)") }
        return changes
    }

    func decide(_ log: any AskedLog, _ changes: [SettingChange]) async throws -> WhatIf {
        let frames = try await log.frames()
        guard !frames.isEmpty else { throw CommandStop(.refused, "drover: \(log.name) is empty: nothing to decide") }
        var whatif = WhatIf(identity: .alternative(of: frames)) { settings in
            for change in changes { change.apply(to: &settings) }
            // A worker that speaks more seldom than its lease allows is no setting.
            settings.heartbeatSeconds = min(settings.heartbeatSeconds, settings.leaseSeconds)
        }
        do throws(CodecFailure) {
            let commands = try RecordedCommand<Global>.commands(of: frames, codec: GlobalCodec())
            let line = ProgressLine()
            defer { line.end() }
            whatif.take(commands) { count in
                if Terminal.showsProgress { line.show("deciding again: command \(count) of \(commands.count)") }
            }
        } catch {
            throw CommandStop(.failed, "drover: \(log.name): \(error.message)")
        }
        return whatif
    }

    // MARK: Two versions

    private func compare(_ whatif: WhatIf, with other: OtherReducers, _ log: any AskedLog) async throws {
        let frames = try await log.frames()
        let answer = try await LogPlace.withScratch { try await other.decide(frames, set, in: $0) }
        let differences = Divergence.between(
            whatif.log.batches.flatMap(\.frames), answer.batches.flatMap(\.frames))
        let told = differences.map { ToldDifference($0, log) }
        if json {
            for difference in told { try Terminal.say(json: difference) }
            return try Terminal.say(json: Sum(differences, same: nil, otherReducers: answer.fingerprint))
        }
        Terminal.say("this version: reducers \(Sum.fingerprint)")
        Terminal.say(
            "\(other.program): \(answer.fingerprint.map { "reducers \($0)" } ?? "a version that does not say")")
        Terminal.say("")
        guard let first = told.first else {
            return Terminal.say("nothing differs: both come to the same \(whatif.log.head.sequence) events")
        }
        Terminal.say("the first that \(other.program) decides otherwise")
        for line in first.lines { Terminal.say(line) }
        Terminal.say("")
        sayAll(told)
        let words = Self.kinds.prefix(3).map { kind, words in "\(differences.count { $0.kind == kind }) \(words)" }
        Terminal.say("events: \(words.joined(separator: ", "))")
        try await LogPlace.with(whatif.log.batches, named: "this version's log") { ours in
            try await sayEnd((ours, whatif.log.head.sequence), answer.batches)
        }
    }

    // MARK: Words

    private func sayAll(_ told: [ToldDifference]) {
        Terminal.say("all differences")
        for difference in told.prefix(max(0, limit)) { for line in difference.lines { Terminal.say(line) } }
        if told.count > limit { Terminal.say("   and \(told.count - limit) more (--limit)") }
        Terminal.say("")
    }

    private func say(_ told: [ToldDifference], _ whatif: WhatIf, _ changes: [SettingChange]) {
        Terminal.say(
            changes.isEmpty
                ? "decided again by this version, under the log's own settings"
                : "what if \(changes.map(\.description).joined(separator: ", "))")
        Terminal.say(
            "held as recorded: what people, workers, regions and peers said, and when; the engine's starts and stalls")
        Terminal.say("planned again: ends of leases, deployments, reissues, when a region counts as silent")
        for held in changes.map(\.held) where !held.isEmpty { Terminal.say("note: \(held)") }
        Terminal.say("")
        guard let first = told.first(where: { $0.kind != .changed }) ?? told.first else {
            return Terminal.say("nothing differs: \(whatif.same) commands came out as recorded")
        }
        Terminal.say("the first that happens otherwise")
        for line in first.lines { Terminal.say(line) }
        Terminal.say("")
        sayAll(told)
        let counts = Self.kinds.map { kind, words in
            "\(whatif.differences.filter { $0.kind == kind }.count) \(words)"
        }
        Terminal.say("\(whatif.same) commands as recorded; events: \(counts.joined(separator: ", "))")
    }

    private static let kinds: [(WhatIf.Difference.Kind, String)] = [
        (.new, "new (+)"), (.gone, "gone (-)"), (.changed, "changed (*)"), (.refused, "refused (!)"),
        (.undecided, "undecided (?)"),
    ]

    /// What the state is in the end of another log, beside what it is in this one's.
    private func sayEnd(_ before: LogDifference.Place, _ batches: [FrameBatch]) async throws {
        var table = Table(["", "VIEW", "ROW", "IN THE END"])
        try await LogPlace.with(batches, named: "the other log") { other in
            let difference = LogDifference(
                before: before, after: (other, batches.last?.end.sequence ?? .zero))
            try await difference.changes { change in
                for row in DiffCommand.rows(change) { table.add(row) }
            }
        }
        Terminal.say("")
        table.show(emptyNote: "in the end nothing differs")
    }

    private func say(json told: [ToldDifference], _ whatif: WhatIf) throws {
        for difference in told { try Terminal.say(json: difference) }
        try Terminal.say(json: Sum(whatif.differences, same: whatif.same))
    }

    /// What all came to.
    struct Sum: Encodable {
        /// Commands that came out as recorded; nil where two versions were compared.
        var same: Int?
        var (new, gone, changed, refused, undecided) = (0, 0, 0, 0, 0)
        /// This version's reducers, and the other one's.
        var reducers = Self.fingerprint
        var otherReducers: String?

        static let fingerprint = String(Global.reducerFingerprint, radix: 16)

        private enum CodingKeys: String, CodingKey {
            case same, new, gone, changed, refused, undecided, reducers
            case otherReducers = "other_reducers"
        }

        init(_ differences: [WhatIf.Difference], same: Int?, otherReducers: String? = nil) {
            func count(_ kind: WhatIf.Difference.Kind) -> Int { differences.count { $0.kind == kind } }
            (new, gone, changed) = (count(.new), count(.gone), count(.changed))
            (refused, undecided) = (count(.refused), count(.undecided))
            (self.same, self.otherReducers) = (same, otherReducers)
        }
    }
}

/// A difference in words.
struct ToldDifference: Encodable {
    var kind: WhatIf.Difference.Kind
    var time: String
    /// The event's sequence in the recorded log; nil where it is none of its.
    var sequence: LogSequence?
    var type: String?
    var words: String
    /// Of a changed one: each field that differs.
    var fields: [String]
    var reason: String

    init(_ difference: WhatIf.Difference, _ log: any AskedLog) {
        (kind, time, reason) = (difference.kind, difference.time.rfc3339, difference.reason)
        sequence = difference.recorded?.header.sequence
        let frame = difference.other ?? difference.recorded
        type = frame.map { GlobalCodec().typeName($0.type) ?? "\($0.type)" }
        words = frame.map { log.words($0) } ?? ""
        fields = difference.kind == .changed ? Self.fields(difference.recorded, difference.other) : []
    }

    var lines: [String] {
        let sign =
            switch kind {
            case .new: "+"
            case .gone: "-"
            case .changed: "*"
            case .refused: "!"
            case .undecided: "?"
            }
        let number = sequence?.description ?? ""
        let place = String(repeating: " ", count: max(0, 6 - number.count)) + number
        let clock = time.dropFirst("2026-01-01T".count).dropLast()
        let text = [words, reason].filter { !$0.isEmpty }.joined(separator: "; ")
        let color = kind == .new ? "32" : kind == .gone ? "31" : "33"
        return ["\(Terminal.painted(sign, color)) \(place)  \(Terminal.dimmed(String(clock)))  \(text)"]
            + fields.map { String(repeating: " ", count: 24) + $0 }
    }

    /// Where the fields of two events of one type differ: `opening.deadline: A -> B`.
    private static func fields(_ was: Frame?, _ would: Frame?) -> [String] {
        let (old, new) = (flat(was), flat(would))
        return Set(old.keys).union(new.keys).sorted().compactMap { name in
            let (before, after) = (old[name] ?? "nothing", new[name] ?? "nothing")
            return before == after ? nil : "\(name): \(before) -> \(after)"
        }
    }

    private static func flat(_ frame: Frame?) -> [String: String] {
        guard let frame,
            let text = NDJSON.data(
                EncodedEvent(type: frame.type, schemaRevision: frame.schemaRevision, payload: frame.payload)),
            let object = try? JSONSerialization.jsonObject(with: Data(text.utf8))
        else { return [:] }
        var fields: [String: String] = [:]
        func add(_ value: Any, _ path: String) {
            if let object = value as? [String: Any] {
                for (name, part) in object { add(part, path.isEmpty ? name : "\(path).\(name)") }
            } else {
                fields[path] = "\(value)"
            }
        }
        add(object, "")
        return fields
    }
}

extension LogIdentity {
    /// Another log's identity, the same whenever it is made of these frames.
    static func alternative(of frames: [Frame]) -> LogIdentity {
        var fingerprint = Fingerprint()
        for frame in frames {
            fingerprint.feed(UInt64(frame.type))
            fingerprint.feed(hexadecimal(frame.payload))
        }
        return LogIdentity(high: fingerprint.value, low: UInt64(frames.count))
    }
}
