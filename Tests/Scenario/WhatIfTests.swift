import ArgumentParser
import Codec
import Domain
import EventLog
import Foundation
import Testing
import Wire

@testable import Commands

/// Recorded commands decided again under other settings.
@Suite struct WhatIfTests {
    private func run(_ scenario: String, _ settings: String...) throws -> WhatIf {
        let frames = try batches(RecordedLog(scenario: scenario, name: RecordedLog.global).bytes()).flatMap(\.frames)
        return try run(frames, settings)
    }

    private func run(
        _ frames: [Frame], _ settings: [String], rules: @escaping AlternativeLog.Rules = Global.decide
    ) throws -> WhatIf {
        let changes = try settings.map { try #require(SettingChange($0)) }
        var whatif = WhatIf(identity: .alternative(of: frames), rules: rules) { settings in
            for change in changes { change.apply(to: &settings) }
        }
        whatif.take(try RecordedCommand.commands(of: frames, codec: GlobalCodec()))
        return whatif
    }

    private func words(_ whatif: WhatIf, _ kind: WhatIf.Difference.Kind) -> [String] {
        whatif.differences.filter { $0.kind == kind }.map { difference in
            let frame = difference.other ?? difference.recorded
            return "\(difference.recorded?.header.sequence.description ?? "new") "
                + "\(frame.map(globalWords) ?? "")|\(difference.reason)"
        }
    }

    /// Under its own settings a log comes out as it is, event for event; only its identity is another.
    @Test(arguments: Seeds.logs.filter(\.isGlobal)) func nothingElseIsDecidedUnderItsOwnSettings(
        _ log: RecordedLog
    ) throws {
        let recorded = try batches(log.bytes()).flatMap(\.frames)
        let whatif = try run(recorded, [])
        #expect(whatif.differences == [], "\(log.testDescription)")
        #expect(whatif.log.batches.flatMap(\.frames) == recorded, "\(log.testDescription)")
    }

    /// Of 4 s they become 2: both lost attempts end 2 s earlier, and nothing else is otherwise.
    @Test func shorterLeasesEndEarlier() throws {
        let whatif = try run("crash", "lease-seconds=2")
        let moved = words(whatif, .gone)
        #expect(
            moved.count == 4 && moved.allSatisfy { $0.hasSuffix("|it would have happened 2.0 s earlier") }, "\(moved)")
        #expect(words(whatif, .new).count == 4)
        #expect(words(whatif, .refused) == [] && words(whatif, .undecided) == [])
        let ends = whatif.log.batches.flatMap(\.frames).filter {
            globalWords($0).hasSuffix("was silent for too long, and ended")
        }
        #expect(ends.map { $0.header.time.rfc3339.dropFirst(11) } == ["16:24:16.852Z", "16:24:32.303Z"])
    }

    /// Of 4 s they become 30: the lost attempt goes on, the other worker gets the next job, and what becomes of that
    /// nobody knows.
    @Test func longerLeasesLeaveTheWorldBehind() throws {
        let whatif = try run("crash", "lease-seconds=30")
        let gone = words(whatif, .gone)
        #expect(gone.contains { $0.hasPrefix("12 attempt 1 of job 1") && $0.hasSuffix("|it would not be due") })
        #expect(
            words(whatif, .new).contains { $0.contains("builder-2 claimed job 2 as attempt 1, with a lease of 30 s") })
        let undecided = words(whatif, .undecided)
        #expect(
            undecided.contains { $0.hasSuffix("worker builder-2 would build job 2: how that ends is not recorded") })
        #expect(undecided.contains { $0.contains("|attempt 2 of job 1 was not begun") })
        #expect(undecided.contains { $0.hasPrefix("25 ") && $0.hasSuffix("|it would still build job 2") })
        #expect(words(whatif, .refused).contains { $0.contains("|unknown-build: ") })
    }

    /// With one attempt at most the first loss ends the job: its build is not there to be deployed.
    @Test func fewerAttemptsFailAJob() throws {
        let whatif = try run("crash", "maximum-attempts=1")
        #expect(words(whatif, .new).contains { $0.contains("job 1 failed (lost): 1 attempts were lost") })
        #expect(whatif.log.state.queue.builds[JobID(rawValue: 1)] == nil)
        #expect(words(whatif, .gone).contains { $0.hasPrefix("13 job 1 is queued again") })
    }

    /// A deployment that took longer than its new deadline fails at it.
    @Test func aSoonerDeadlineFailsADeployment() throws {
        let whatif = try run("crash", "deployment-deadline-seconds=3")
        let failed = words(whatif, .new).filter { $0.contains("deployment 1.1 of hello ended: failed") }
        #expect(failed.count == 1 && failed.first?.hasSuffix("|it was due") == true, "\(words(whatif, .new))")
        let moved = whatif.differences.filter { $0.kind == .changed }.flatMap { difference in
            zip([difference.recorded], [difference.other]).map { $0.0?.type == $0.1?.type }
        }
        #expect(!moved.isEmpty && moved.allSatisfy { $0 })
    }

    /// In incident a region is suspended after 10 s of silence, and the deployment ends without it. With more patience
    /// it comes back in time, and the deployment ends with both.
    @Test func morePatienceWaitsForARegion() throws {
        let whatif = try run("incident", "region-silent-seconds=60")
        let gone = words(whatif, .gone)
        #expect(
            gone.contains("46 region two became silent, as no word came from it|region two spoke before that was due"))
        #expect(gone.contains { $0.hasPrefix("47 deployment 1.2 of hello ended: succeeded: 2 peers in 1 regions") })
        let new = words(whatif, .new)
        #expect(new.contains { $0.contains("region two converged to deployment 1.2") })
        #expect(new.contains { $0.contains("deployment 1.2 of hello ended: succeeded: 4 peers in 2 regions") })
        #expect(words(whatif, .undecided) == [])
    }

    /// With less patience its silence is noticed earlier; with a little more, later.
    @Test(arguments: [("6", "4 s earlier"), ("12", "spoke before"), ("10", "")])
    func silencesAreMoved(_ seconds: String, _ reason: String) throws {
        let whatif = try run("incident", "region-silent-seconds=\(seconds)")
        guard !reason.isEmpty else {
            #expect(whatif.differences == [])
            return
        }
        #expect(words(whatif, .gone).contains { $0.hasPrefix("46 region two became silent") && $0.contains(reason) })
        let noticed = whatif.log.batches.flatMap(\.frames).filter { globalWords($0).contains("became silent") }
        #expect(noticed.map { $0.header.time.rfc3339.dropFirst(11) } == (seconds == "6" ? ["22:23:49.256Z"] : []))
    }

    /// What would have been is a log as any other: it opens, is sound, and comes out as it is when decided again.
    @Test(arguments: ["lease-seconds=2", "lease-seconds=30", "maximum-attempts=1", "maximum-open-jobs=1"])
    func theOtherLogIsALog(_ setting: String) throws {
        let whatif = try run("crash", setting)
        let scratch = try Scratch()
        let made = try EventLog.made(scratch.inside("log"), of: whatif.log.batches)
        #expect(try made.verify().isSound && made.head() == whatif.log.head)
        var again = DecideAgain<Global>(codec: GlobalCodec())
        try again.take(whatif.log.batches.flatMap(\.frames))
        #expect(again.differences == [] && again.state == whatif.log.state)
        #expect(whatif.log.state.impossible == 0)
    }

    /// A decision that was recorded otherwise than this version takes it is a difference (the canary of the check above).
    @Test func anotherDecisionIsADifference() throws {
        var frames = try batches(RecordedLog(scenario: "crash", name: RecordedLog.global).bytes()).flatMap(\.frames)
        let codec = GlobalCodec()
        let place = try #require(
            frames.firstIndex { frame in
                if case .queue(.claimed)? = try? codec.decode(frame)?.event { true } else { false }
            })
        guard
            case .queue(.claimed(let job, let attempt, let worker, let lease))? = try codec.decode(frames[place])?.event
        else { return }
        frames[place].payload = try codec.encode(
            .queue(.claimed(job, attempt, worker: worker, leaseSeconds: lease + 1))
        ).payload
        let differences = try run(frames, []).differences
        #expect(differences.contains { $0.kind == .changed && $0.recorded == frames[place] })
    }

    @Test(arguments: [
        "lease-seconds", "lease-seconds=", "lease-seconds=-1", "lease-seconds=4294967296", "lease=3", "=3",
    ])
    func noSettings(_ text: String) throws {
        #expect(SettingChange(text) == nil)
        let command = try WhatIfCommand.parse(["x", "--set", text])
        let stop = #expect(throws: CommandStop.self) { try command.changes() }
        #expect(stop?.exit == .refused && stop?.message.contains("lease-seconds, ") == true)
    }

    @Test(arguments: ["lease-seconds=0", "converged-share=10001", "maximum-attempts=101", "target-lifetime-seconds=59"])
    func absurdSettingsAreRefusedWithTheirBounds(_ text: String) throws {
        let stop = #expect(throws: CommandStop.self) { try WhatIfCommand.parse(["x", "--set", text]).changes() }
        #expect(stop?.exit == .refused && stop?.message.contains("it must be ") == true)
    }

    /// Two logs are compared row by row: with one attempt at most, job 1 of crash fails.
    @Test func twoLogsAreCompared() async throws {
        let whatif = try run("crash", "maximum-attempts=1")
        let file = RecordedLog(scenario: "crash", name: RecordedLog.global).folder.appending(path: "log.ndjson").path
        var changes: [LogDifference.Change] = []
        try await LogPlace.with(file) { log in
            try await LogPlace.with(whatif.log.batches, named: "the other") { other in
                let end = try await log.head()
                try await LogDifference(before: (log, end), after: (other, whatif.log.head.sequence)).changes {
                    changes.append($0)
                }
            }
        }
        let job = try #require(changes.first { $0.view == "jobs" && $0.key == "1" })
        #expect(
            job.columns.contains(.init(name: "status", before: .text("succeeded"), after: .text("failed"))), "\(job)")
        #expect(changes.contains { $0.view == "builds" && $0.kind == .removed })
    }

    /// Another version of the rules, which ends no lease by itself: it is told apart at the first of them.
    @Test func twoVersionsOfTheRulesAreCompared() throws {
        let frames = try batches(RecordedLog(scenario: "crash", name: RecordedLog.global).bytes()).flatMap(\.frames)
        let ours = try run(frames, []).log.batches.flatMap(\.frames)
        #expect(Divergence.between(ours, ours) == [])
        let theirs = try run(frames, []) { state, command, context in
            if case .queue(.expireLease) = command { return .refused(Refusal(.leaseNotOver, "it goes on")) }
            return Global.decide(state, command, context)
        }.log.batches.flatMap(\.frames)
        let differences = Divergence.between(ours, theirs)
        let first = try #require(differences.first)
        #expect(first.kind == .gone && first.recorded.map(globalWords)?.contains("was silent for too long") == true)
        let (gone, new) = (differences.count { $0.kind == .gone }, differences.count { $0.kind == .new })
        #expect(gone > 1 && ours.count - gone + new == theirs.count)
        #expect(differences.allSatisfy { $0.time >= first.time })
    }

    /// A field that one version fills otherwise is one changed event each, where it is.
    @Test func anEventOfOtherContentIsChanged() throws {
        let frames = try batches(RecordedLog(scenario: "crash", name: RecordedLog.global).bytes()).flatMap(\.frames)
        let ours = try run(frames, []).log.batches.flatMap(\.frames)
        let theirs = try run(frames, []) { state, command, context in
            guard case .accepted(let events, let answer) = Global.decide(state, command, context) else {
                return Global.decide(state, command, context)
            }
            return .accepted(
                events.map { event in
                    guard case .queue(.claimed(let job, let attempt, let worker, let lease)) = event else {
                        return event
                    }
                    return .queue(.claimed(job, attempt, worker: worker, leaseSeconds: lease + 1))
                }, answer)
        }.log.batches.flatMap(\.frames)
        let claims = ours.filter { GlobalCodec().typeName($0.type) == "job-claimed" }
        let changed = Divergence.between(ours, theirs).filter { $0.kind == .changed }
        #expect(claims.count > 1)
        #expect(changed.prefix(1).compactMap(\.recorded) == Array(claims.prefix(1)))
    }

    @Test func framesAreALogOfTheirOwnForAnotherProgram() throws {
        let frames = try batches(RecordedLog(scenario: "crash", name: RecordedLog.global).bytes()).flatMap(\.frames)
        let made = try OtherReducers.batches(of: frames)
        #expect(made.flatMap(\.frames) == frames)
        #expect(try batches(made.flatMap { NDJSON.lines($0) }) == made)
    }

    @Test func everySettingHasAName() throws {
        var settings = Settings()
        for (place, name) in SettingChange.names.enumerated() {
            try #require(SettingChange("\(name)=\(7000 + place)")).apply(to: &settings)
        }
        let numbers = Mirror(reflecting: settings).children.compactMap { $0.value as? UInt32 }
        #expect(numbers == SettingChange.names.indices.map { UInt32(7000 + $0) })
    }

    @Test func otherLogsAreRefused() async throws {
        let regional = RecordedLog(scenario: "crash", name: "region-one").folder.appending(path: "log.ndjson").path
        for log in [regional, "/nowhere/at/all"] {
            let command = try WhatIfCommand.parse([log])
            await #expect(throws: CommandStop.self) { try await command.run() }
        }
    }
}
