package import Domain

/// Decides a recorded global log again under other settings, or other rules.
///
/// Held as recorded is the world outside: what people asked, what workers, regions and peers said, and when; who fell
/// silent; the engine's own starts, stalls and clock. What the projectors do that look at the state alone (ends of
/// leases, deployments, reissues) is planned again: at the recorded time where it is due in the recorded state as well,
/// else at the moment at which it is due. A region's recorded silence is noticed as much earlier or later as its setting
/// says, or not at all where the region spoke before. Nobody outside gives other answers than the recorded ones: where one would
/// have to, that is undecided. One thing is known all the same: a worker that asked for a job and there gets none goes
/// on asking.
package struct WhatIf {
    /// What differs, an event each.
    package struct Difference: Hashable, Sendable {
        package enum Kind: String, Hashable, Sendable, Encodable {
            /// It would not have happened.
            case gone
            /// It would have happened.
            case new
            /// It would have been another.
            case changed
            /// What was asked would have been refused.
            case refused
            /// The world's answer to what would have happened is not recorded.
            case undecided
        }

        package var kind: Kind
        package var time: Timestamp
        /// As recorded; nil for a new one.
        package var recorded: Frame?
        /// As it would have been; nil for one that is gone.
        package var other: Frame?
        /// Why; empty where it is plain.
        package var reason: String
    }

    package typealias Command = RecordedCommand<Global>

    package private(set) var differences: [Difference] = []
    /// Commands that came out as recorded.
    package private(set) var same = 0
    package private(set) var log: AlternativeLog
    private let change: @Sendable (inout Settings) -> Void
    /// The fold of the log as recorded.
    private var recorded = Global.initialState
    private var map = IdentityMap()
    private var isChanged = false
    /// Where events of commands that were accepted stand in the other log: what others name as their cause.
    private var places: [LogSequence: LogSequence] = [:]
    /// Workers whose recorded claim got nothing, oldest first: they go on asking.
    private var asking: [(worker: WorkerName, recorded: Command)] = []
    /// The job that a worker got instead of its recorded one: how its build ends is not recorded.
    private var unrecorded: [WorkerName: JobID] = [:]
    /// Regions' silences that are noticed earlier or later than recorded.
    private var silences = Silences()
    /// What the projectors did before its recorded time came, or instead of it.
    private var ahead: [(command: GlobalCommand, time: Timestamp)] = []

    /// - Parameter change: applied to the settings of the start and to each that the log sets.
    package init(
        identity: LogIdentity, rules: @escaping AlternativeLog.Rules = Global.decide,
        change: @escaping @Sendable (inout Settings) -> Void
    ) {
        log = AlternativeLog(identity: identity, rules: rules)
        self.change = change
    }

    /// Takes the whole log's commands, in order.
    ///
    /// - Parameter progress: called with how many were taken, now and then.
    package mutating func take(_ commands: [Command], progress: (Int) -> Void = { _ in }) {
        silences = Silences(commands, change: change)
        for (place, command) in commands.enumerated() {
            take(command)
            if place % 1000 == 0 { progress(place) }
        }
        project(until: log.now)
    }

    private mutating func take(_ command: Command) {
        while let silence = silences.next(until: command.time) { fallSilent(silence.command, at: silence.time) }
        if !command.isStart { project(until: command.time) }
        log.advance(to: command.time)
        switch command.content {
        case .command(let asked):
            if let reason = silences.moved[command.header.command] {
                note(.gone, command, reason)
                break
            }
            if !isChanged { changeSettings(like: command.header) }
            if Projecting.isTheirs(command.header) { again(asked, command) } else { decide(asked, command) }
        case .fact(let fact): record(fact, command)
        case .refusals(let attempt, let code, let count):
            refuse(attempt, code: code, count: count, command)
        case .unknown(let reason): note(.undecided, command, reason)
        }
        for envelope in command.envelopes { Global.reduce(&recorded, envelope) }
        serveAsking()
    }

    /// A region's silence is noticed at another moment than recorded.
    private mutating func fallSilent(_ command: Command, at time: Timestamp) {
        project(until: time)
        log.advance(to: time)
        let before = log.batches.count
        guard case .command(let asked) = command.content,
            case .accepted(let events, _) = log.decide(asked, like: command.header), !events.isEmpty
        else { return }
        add(log.batches.dropFirst(before).flatMap(\.frames), "it was due")
    }

    /// Settings of the start are changed by a command of their own, before the first one.
    private mutating func changeSettings(like header: FrameHeader) {
        isChanged = true
        var settings = log.state.log.settings
        change(&settings)
        var own = header
        (own.actor, own.key, own.isDerived) = (.person("whatif"), nil, false)
        _ = log.decide(.changeSettings(settings), like: own)
    }

    private mutating func decide(_ asked: GlobalCommand, _ command: Command) {
        var asked = asked
        do throws(IdentityMap.Missing) {
            asked = try map.command(asked)
        } catch {
            map.learn(command.events, [], nil)
            return note(error.isWorlds(asked) ? .undecided : .gone, command, error.words)
        }
        if case .queue(.claim(let worker)) = asked, let job = unrecordedJob(of: worker) {
            map.learn(command.events, [], nil)
            return note(.undecided, command, "it would still build job \(job)")
        }
        if case .changeSettings(var settings) = asked {
            change(&settings)
            asked = .changeSettings(settings)
        }
        let before = log.batches.count
        let outcome = log.decide(asked, like: command.header, cause: places[command.header.cause] ?? .zero)
        switch outcome {
        case .accepted(let events, let answer):
            let frames = log.batches.dropFirst(before).flatMap(\.frames)
            map.learn(command.events, events, answer)
            noteClaim(command, answer)
            place(command, frames)
            compare(command, frames, events)
        case .refused(let refusal):
            map.learn(command.events, [], nil)
            if case .log(let fact)? = Global.refusalEvent(refusal, count: 1, state: log.state, now: log.now) {
                try? log.record(fact, like: command.header)
            }
            note(.refused, command, "\(refusal.code.rawValue): \(refusal.message)")
        }
    }

    private mutating func place(_ command: Command, _ frames: [Frame]) {
        for (recorded, other) in zip(command.frames, frames) {
            places[recorded.header.sequence] = other.header.sequence
        }
    }

    /// A worker that was given a job as recorded, and now is not, goes on asking; one that is given another builds what
    /// nobody recorded.
    private mutating func noteClaim(_ command: Command, _ answer: GlobalAnswer) {
        guard case .queue(.claimed(let job, _, let worker, _))? = command.events.first else { return }
        if case .queue(.nothingToClaim) = answer {
            asking.append((worker, command))
        } else if case .queue(.claimed(let other, _, _, _, _)) = answer, (try? map.job(job)) != other {
            buildsUnrecorded(worker, other)
        }
    }

    private mutating func buildsUnrecorded(_ worker: WorkerName, _ job: JobID) {
        unrecorded[worker] = job
        differences.append(
            Difference(
                kind: .undecided, time: log.now, recorded: nil, other: nil,
                reason: "worker \(worker) would build job \(job): how that ends is not recorded"))
    }

    private func unrecordedJob(of worker: WorkerName) -> JobID? {
        unrecorded[worker].flatMap { log.state.queue.jobs[$0]?.attempt?.worker == worker ? $0 : nil }
    }

    private mutating func serveAsking() {
        var index = 0
        while index < asking.count, log.state.queue.jobs.count > log.state.queue.running.count {
            let (worker, command) = asking[index]
            var header = command.header
            header.key = nil
            let before = log.batches.count
            guard case .accepted(let events, let answer) = log.decide(.queue(.claim(worker)), like: header),
                case .queue(.claimed(let job, _, _, _, _)) = answer
            else {
                index += 1
                continue
            }
            asking.remove(at: index)
            map.learn(command.events, events, answer)
            add(log.batches.dropFirst(before).flatMap(\.frames), "worker \(worker) went on asking")
            if case .queue(.claimed(let own, _, _, _))? = command.events.first, (try? map.job(own)) != job {
                buildsUnrecorded(worker, job)
            }
        }
    }

    /// A projector's command: done again where it is due.
    private mutating func again(_ asked: GlobalCommand, _ command: Command) {
        guard let known = try? map.command(asked) else {
            map.learn(command.events, [], nil)
            return note(.gone, command, "there is nothing that it would be about")
        }
        if Projecting.plan(log.state, now: log.now).effects.contains(where: { $0.command == known }) {
            return decide(asked, command)
        }
        map.learn(command.events, [], nil)
        guard let place = ahead.firstIndex(where: { $0.command == known }) else {
            return note(.gone, command, "it would not be due")
        }
        let early = command.time.millisecondsSince(ahead.remove(at: place).time)
        note(.gone, command, "it would have happened \(seconds(early)) earlier")
    }

    /// Does what is due before the next recorded command, and is not due as recorded.
    private mutating func project(until time: Timestamp) {
        var done: Set<GlobalCommand> = []
        while isChanged {
            let plan = Projecting.plan(log.state, now: log.now)
            let due = plan.effects.filter { !done.contains($0.command) }
            let held = due.isEmpty ? [] : heldCommands()
            if let effect = due.first(where: { !held.contains($0.command) }) {
                done.insert(effect.command)
                perform(effect.command, by: effect.by)
                continue
            }
            guard let next = plan.askAgainAt, next > log.now, next < time else { return }
            log.advance(to: next)
            done = []
        }
    }

    /// What is due in the recorded state too, in the other log's words: it comes when it was recorded.
    private func heldCommands() -> Set<GlobalCommand> {
        Set(Projecting.plan(recorded, now: log.now).effects.compactMap { try? map.command($0.command) })
    }

    private mutating func perform(_ command: GlobalCommand, by actor: EventActor) {
        let header = FrameHeader(
            epoch: .first, sequence: .zero, time: log.now, command: .zero, cause: .zero, actor: actor, key: nil,
            isDerived: true)
        let before = log.batches.count
        guard case .accepted(let events, let answer) = log.decide(command, like: header, cause: log.head.sequence),
            !events.isEmpty
        else { return }
        map.learn([], events, answer)
        ahead.append((command, log.now))
        add(log.batches.dropFirst(before).flatMap(\.frames), "it was due")
        serveAsking()
    }

    /// The engine's own word is the world's; a state's hash is of another state.
    private mutating func record(_ fact: LogEvent, _ command: Command) {
        switch fact {
        case .stateHashed, .backupProved: return
        case .engineStarted, .engineStalled, .clockJumped, .epochStarted, .levelRaised, .settingsChanged, .refused,
            .payloadRedacted:
            break
        }
        do {
            try log.record(fact, like: command.header)
            place(command, log.batches.last?.frames ?? [])
            same += 1
        } catch {
            note(.undecided, command, "it does not fit into a log: \(error)")
        }
    }

    /// Refused calls are refused again while their attempt is not the current one. What they said is not recorded.
    private mutating func refuse(_ attempt: RefusedAttempt, code: RefusalCode, count: UInt64, _ command: Command) {
        guard let (job, number) = try? map.attempt(attempt.job, attempt.attempt) else {
            return note(.gone, command, "the attempt would not have begun")
        }
        let wasCurrent = recorded.queue.jobs[attempt.job]?.attempt?.number == attempt.attempt
        let isCurrent = log.state.queue.jobs[job]?.attempt?.number == number
        guard isCurrent == wasCurrent else {
            return note(.undecided, command, "the attempt would be the current one, and what it said is not recorded")
        }
        let known = RefusedAttempt(job: job, attempt: number, command: attempt.command)
        let refusal = Refusal(code, "", attempt: known)
        guard case .log(let fact)? = Global.refusalEvent(refusal, count: count, state: log.state, now: log.now),
            (try? log.record(fact, like: command.header)) != nil
        else { return note(.gone, command, "one of its kind was recorded less than a minute before") }
        place(command, log.batches.last?.frames ?? [])
        same += 1
    }

    // MARK: Differences

    private mutating func compare(_ command: Command, _ frames: [Frame], _ events: [GlobalEvent]) {
        if events == command.events {
            same += 1
            return
        }
        let difference = events.difference(from: command.events)
        var added = difference.insertions.compactMap { change -> Frame? in
            if case .insert(let place, _, _) = change { frames[place] } else { nil }
        }
        for case .remove(let place, _, _) in difference.removals {
            let was = command.frames[place]
            if let other = added.firstIndex(where: { $0.type == was.type }) {
                add(.changed, was, added.remove(at: other), "")
            } else {
                add(.gone, was, nil, "")
            }
        }
        add(added, "")
    }

    private mutating func add(_ frames: [Frame], _ reason: String) {
        for frame in frames { add(.new, nil, frame, reason) }
    }

    private mutating func note(_ kind: Difference.Kind, _ command: Command, _ reason: String) {
        for frame in command.frames { add(kind, frame, nil, reason) }
    }

    private mutating func add(_ kind: Difference.Kind, _ was: Frame?, _ would: Frame?, _ reason: String) {
        let time = would?.header.time ?? was?.header.time ?? log.now
        differences.append(Difference(kind: kind, time: time, recorded: was, other: would, reason: reason))
    }

    private func seconds(_ milliseconds: Int64) -> String {
        milliseconds < 10_000
            ? "\(milliseconds / 1000).\((milliseconds % 1000) / 100) s" : "\(milliseconds / 1000) s"
    }
}

extension IdentityMap.Missing {
    /// Whether the world goes on about something that never came to be: what it would have done instead is not known.
    fileprivate func isWorlds(_ command: GlobalCommand) -> Bool {
        switch command {
        case .queue(.heartbeat), .queue(.reportUploaded), .queue(.reportFailed), .queue(.release), .packStored,
            .packLost, .packRemoved, .fleet:
            true
        case .queue, .targets, .retention, .changeSettings: false
        }
    }
}
