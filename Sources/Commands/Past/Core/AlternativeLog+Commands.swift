package import Domain

extension AlternativeLog {
    /// Decides some of a log's commands, in order, each at its time. One that is refused, or about something that is
    /// not there, is left out.
    ///
    /// - Returns: the log, and the commands that led to events in it: decided alone they lead to the same log.
    package static func decided(
        _ commands: [RecordedCommand<Global>], identity: LogIdentity
    ) -> (log: AlternativeLog, kept: [RecordedCommand<Global>]) {
        var (log, map, kept) = (AlternativeLog(identity: identity), IdentityMap(), [RecordedCommand<Global>]())
        for command in commands {
            log.advance(to: command.time)
            let before = log.head
            switch command.content {
            case .command(let asked): log.decide(asked, command, &map)
            case .fact(let fact): try? log.record(fact, like: command.header)
            case .refusals(let attempt, let code, let count): log.refuse(attempt, code, count, command, map)
            case .unknown: break
            }
            if log.head != before { kept.append(command) }
        }
        return (log, kept)
    }

    private mutating func decide(
        _ asked: GlobalCommand, _ command: RecordedCommand<Global>, _ map: inout IdentityMap
    ) {
        guard let known = try? map.command(asked),
            case .accepted(let events, let answer) = decide(
                known, like: command.header, cause: command.header.cause == .zero ? .zero : head.sequence)
        else { return map.learn(command.events, [], nil) }
        map.learn(command.events, events, answer)
    }

    private mutating func refuse(
        _ attempt: RefusedAttempt, _ code: RefusalCode, _ count: UInt64, _ command: RecordedCommand<Global>,
        _ map: IdentityMap
    ) {
        guard code == .staleAttempt, let (job, number) = try? map.attempt(attempt.job, attempt.attempt),
            state.queue.jobs[job]?.attempt?.number != number
        else { return }
        let known = RefusedAttempt(job: job, attempt: number, command: attempt.command)
        guard
            case .log(let fact)? = Global.refusalEvent(
                Refusal(code, "", attempt: known), count: count, state: state, now: now)
        else { return }
        try? record(fact, like: command.header)
    }
}
