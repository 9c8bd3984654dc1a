import Domain
import Testing

@Suite("Queue rules")
struct QueueTests {
    @Test("claims follow (priority, id)")
    func firstInFirstOutByPriority() {
        var world = GlobalWorld.fleet()
        for (number, priority) in [0, 5, 0, 5, -3].enumerated() {
            world.enqueue(request(commit: number, priority: Int32(priority)))
        }
        let order = (0..<5).compactMap { _ in world.claim()?.job }
        #expect(order == [job(2), job(4), job(1), job(3), job(5)])
        #expect(world.claim() == nil)
    }

    @Test("ids are gapless, also where requests are refused between")
    func gaplessIds() {
        var world = GlobalWorld.fleet()
        #expect(world.enqueue(request(commit: 1)) == job(1))
        #expect(world.send(.queue(.enqueue(request(commit: 2, recipe: "../x")))).code == .invalid)
        #expect(world.enqueue(request(commit: 1)) == job(1))
        #expect(world.enqueue(request(commit: 2)) == job(2))
    }

    @Test("a requeued job keeps its id and its place")
    func requeueKeepsPlace() {
        var world = GlobalWorld.fleet()
        for number in 1...3 { world.enqueue(request(commit: number)) }
        _ = world.claim()
        world.send(.queue(.release(job(1), .first, detail: "shutdown")))
        world.enqueue(request(commit: 4))
        #expect(world.state.queue.waiting.all == [job(1), job(2), job(3), job(4)])
        let again = world.claim()
        #expect(again?.job == job(1))
        #expect(again?.attempt == attempt(2))
    }

    @Test("two claims in one batch get two jobs")
    func claimsInOneBatch() {
        var world = GlobalWorld.fleet()
        for number in 1...2 { world.enqueue(request(commit: number)) }
        #expect(world.claim("w1")?.job == job(1))
        #expect(world.claim("w2")?.job == job(2))
        #expect(world.state.queue.running == [job(1), job(2)])
    }

    @Test("a worker must have joined and not drain")
    func claimNeedsAWorker() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        #expect(world.send(.queue(.claim(worker("stranger")))).code == .unknownWorker)
        world.send(.fleet(.workerDrain(worker("w1"), isDraining: true)))
        #expect(world.send(.queue(.claim(worker("w1")))).code == .workerDraining)
        world.send(.fleet(.workerDrain(worker("w1"), isDraining: false)))
        #expect(world.claim()?.job == job(1))
    }

    @Test("waiting for work is one event when it starts")
    func waitingIsOneEvent() {
        var world = GlobalWorld.fleet()
        #expect(world.send(.queue(.claim(worker("w1")))).events == [.fleet(.workerWaiting(worker("w1")))])
        #expect(world.send(.queue(.claim(worker("w1")))).events == [])
        world.enqueue(request())
        _ = world.claim()
        #expect(world.state.fleet.workers[worker("w1")]?.waitingSince == nil)
    }

    @Test("a worker's row names its job only while that goes on")
    func workerRow() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        #expect(world.state.fleet.workers[worker("w1")]?.job == job(1))
        world.send(.queue(.reportFailed(job(1), .first, .exit, detail: "1")))
        #expect(world.state.fleet.workers[worker("w1")]?.job == nil)
    }

    @Test(
        "every call about an attempt that is not current is refused",
        arguments: [
            QueueCommand.heartbeat(job(1), .first, counter: 9, stage: .build),
            .reportUploaded(job(1), .first, pack(1)), .reportFailed(job(1), .first, .exit, detail: ""),
            .release(job(1), .first, detail: ""), .expireLease(job(1), .first),
        ])
    func fencing(_ command: QueueCommand) {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        #expect(world.send(.queue(command)).code == .staleAttempt, "before any attempt")
        _ = world.claim()
        world.send(.queue(.release(job(1), .first, detail: "")))
        #expect(world.send(.queue(command)).code == .staleAttempt, "between attempts")
        _ = world.claim("w2")
        let refusal = world.send(.queue(command)).refusal
        #expect(refusal?.code == .staleAttempt, "the second is current")
        #expect(refusal?.attempt?.attempt == .first)
        #expect(world.state.queue.jobs[job(1)]?.attempt?.number == attempt(2))
    }

    @Test("another worker's calls about an attempt are stale; other roles' are not")
    func fencingByWorker() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim("w1")
        let calls: [QueueCommand] = [
            .heartbeat(job(1), .first, counter: 9, stage: .build), .reportUploaded(job(1), .first, pack(1)),
            .reportFailed(job(1), .first, .exit, detail: ""), .release(job(1), .first, detail: ""),
        ]
        for call in calls {
            #expect(world.decide(.queue(call), by: .worker(worker("w2"))).code == .staleAttempt, "\(call)")
            #expect(world.decide(.queue(call), by: .worker(worker("w1"))).code == nil, "\(call)")
            #expect(world.decide(.queue(call), by: .person("ada")).code == nil, "\(call)")
        }
    }

    @Test("refusals about attempts that cannot have been are not recorded")
    func inventedAttempts() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        #expect(world.beat(job(1), attempt(0), counter: 1).refusal?.attempt == nil)
        #expect(world.beat(job(1), attempt(2), counter: 1).refusal?.attempt == nil)
        world.send(.queue(.release(job(1), .first, detail: "")))
        #expect(world.beat(job(1), .first, counter: 1).refusal?.attempt?.attempt == .first)
    }

    @Test("a worker of a region that is not live gets no job")
    func claimsNeedALiveRegion() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        world.send(.fleet(.regionSuspend(region("a"), reason: "")))
        #expect(world.send(.queue(.claim(worker("w1")))).code == .regionSuspended)
        world.send(.fleet(.regionRemove(region("a"), reason: "")))
        #expect(world.send(.queue(.claim(worker("w1")))).code == .regionRemoved)
        world.send(.fleet(.regionResume(region("a"), reason: "")))
        #expect(world.claim()?.job == job(1))
    }

    @Test("a keyed request answered with a known job is remembered, whatever becomes of that job")
    func reuseIsRemembered() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        #expect(world.send(.queue(.enqueue(request()))).events == [], "no key, no event")
        let reused = world.send(.queue(.enqueue(request())), key: "k")
        #expect(reused.events == [.queue(.enqueueReused(job(1), request()))])
        world.send(.queue(.cancel(job(1), reason: "")))
        #expect(world.enqueue(request(), key: "k") == job(1))
        #expect(world.send(.queue(.enqueue(request(commit: 2))), key: "k").code == .keyReused)
        #expect(world.enqueue(request()) == job(2))
        #expect(Global.command(from: reused.events ?? []) == .queue(.enqueue(request())))
    }

    @Test("pack-stored is fenced by the attempt too")
    func packStoredIsFenced() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        world.send(.queue(.release(job(1), .first, detail: "")))
        _ = world.claim()
        #expect(world.store(job(1), .first, in: "a").code == .staleAttempt)
    }

    @Test("an unknown job is told from an ended one")
    func unknownAndEnded() {
        var world = GlobalWorld.fleet()
        #expect(world.beat(job(1), .first, counter: 1).code == .unknownJob)
        #expect(world.send(.queue(.cancel(job(0), reason: ""))).code == .unknownJob)
        world.enqueue(request())
        world.send(.queue(.cancel(job(1), reason: "")))
        #expect(world.send(.queue(.cancel(job(1), reason: ""))).code == .jobEnded)
        #expect(world.beat(job(1), .first, counter: 1).code == .staleAttempt)
    }

    @Test("heartbeat counters only grow, a repeat is no event")
    func heartbeatCounters() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        #expect(world.beat(job(1), .first, counter: 3).events?.count == 1)
        #expect(world.beat(job(1), .first, counter: 3).events == [])
        #expect(world.beat(job(1), .first, counter: 2).events == [])
        #expect(world.beat(job(1), .first, counter: .max).events?.count == 1)
        #expect(world.beat(job(1), .first, counter: .max).events == [])
    }

    @Test("open jobs have a limit")
    func openJobsLimit() {
        var world = GlobalWorld.fleet()
        var settings = Settings()
        settings.maximumOpenJobs = 2
        world.send(.changeSettings(settings))
        for number in 1...2 { world.enqueue(request(commit: number)) }
        #expect(world.send(.queue(.enqueue(request(commit: 3)))).code == .limitReached)
        world.send(.queue(.cancel(job(1), reason: "")))
        #expect(world.enqueue(request(commit: 3)) == job(3))
    }

    @Test("waiting jobs keep their order through many claims and requeues")
    func waitingJobsStayInOrder() {
        var waiting = WaitingJobs()
        for number in 1...500 { waiting.insert(job(UInt64(number)), priority: 0) }
        for number in 1...400 { waiting.remove(job(UInt64(number)), priority: 0) }
        for number in stride(from: 399, through: 1, by: -2) { waiting.insert(job(UInt64(number)), priority: 0) }
        let expected =
            stride(from: 1, through: 399, by: 2).map { job(UInt64($0)) } + (401...500).map { job(UInt64($0)) }
        #expect(waiting.all == expected)
        #expect(waiting.first == job(1))
    }
}

@Suite("Success and failure")
struct JobEndTests {
    @Test("succeeded is decided on pack-stored, never on the worker's word")
    func succeededOnPackStored() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        #expect(world.store(job(1), in: "a").code == .artifactMismatch, "nothing was uploaded")
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        #expect(world.state.queue.builds.isEmpty)
        #expect(world.store(job(1), in: "a", manifest: 2).code == .artifactMismatch)
        #expect(world.store(job(1), attempt(2), in: "a").code == .staleAttempt)
        #expect(world.store(job(1), in: "nowhere").code == .unknownRegion)
        #expect(world.state.queue.builds.isEmpty)
        let events = world.store(job(1), in: "a").events
        #expect(events?.last == .queue(.succeeded(job(1), .first)))
        #expect(world.state.queue.builds[job(1)]?.pack == pack(1))
        #expect(world.state.queue.jobs.isEmpty)
    }

    @Test("a built pack is stored by other regions once each, and only with its manifest")
    func furtherCopies() {
        var world = GlobalWorld.fleet()
        world.build(request(), in: ["a"])
        #expect(world.store(job(1), in: "b", manifest: 9).code == .staleAttempt)
        #expect(world.store(job(1), in: "b").events?.count == 1)
        #expect(world.store(job(1), in: "b").events == [])
    }

    @Test("an attempt reports one pack, again and again")
    func uploadedOnce() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        #expect(world.send(.queue(.reportUploaded(job(1), .first, pack(1)))).events == [])
        let other = world.send(.queue(.reportUploaded(job(1), .first, pack(2)))).refusal
        #expect(other?.code == .artifactMismatch)
        #expect(other?.attempt != nil, "it is recorded")
        world.store(job(1), in: "a")
        #expect(world.send(.queue(.reportUploaded(job(1), .first, pack(1)))).events == [])
    }

    @Test("a worker's failure ends the job with its reason", arguments: FailureReason.allCases)
    func failure(_ reason: FailureReason) {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportFailed(job(1), .first, reason, detail: "why")))
        #expect(world.failure(of: job(1)) == reason)
        #expect(world.claim() == nil)
    }

    @Test("a queued job is cancelled at once")
    func cancelQueued() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        world.send(.queue(.cancel(job(1), reason: "typo")))
        #expect(world.failure(of: job(1)) == .cancelled)
        #expect(world.claim() == nil)
    }

    @Test("a running job is cancelled when its worker confirms, whatever it reports")
    func cancelRunning() {
        let reports: [QueueCommand] = [
            .reportFailed(job(1), .first, .exit, detail: ""), .release(job(1), .first, detail: ""),
            .reportUploaded(job(1), .first, pack(1)),
        ]
        for report in reports {
            var world = GlobalWorld.fleet()
            world.enqueue(request())
            _ = world.claim()
            world.send(.queue(.cancel(job(1), reason: "typo")))
            #expect(world.send(.queue(.cancel(job(1), reason: "again"))).events == [])
            #expect(world.beat(job(1), .first, counter: 1).answer == .queue(.heartbeat(isCancelled: true)))
            #expect(world.failure(of: job(1)) == nil)
            world.send(.queue(report))
            #expect(world.failure(of: job(1)) == .cancelled)
            #expect(world.state.queue.jobs.isEmpty)
        }
    }

    @Test("a cancel ends though the worker is mute")
    func cancelMute() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.wait(seconds: 1)
        world.send(.queue(.cancel(job(1), reason: "typo")))
        world.wait(seconds: 59)
        world.project()
        #expect(world.failure(of: job(1)) == .cancelled)
    }

    @Test("a cancel ends though the worker only says that it lives")
    func cancelDeaf() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.cancel(job(1), reason: "typo")))
        for counter in 1...6 {
            world.wait(seconds: 10)
            world.beat(job(1), .first, counter: UInt64(counter))
            world.project()
        }
        #expect(world.failure(of: job(1)) == .cancelled)
    }

    @Test("an uploaded pack may win against a cancel, and the job still ends once")
    func cancelUploaded() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        world.send(.queue(.cancel(job(1), reason: "typo")))
        var other = world
        world.store(job(1), in: "a")
        #expect(world.state.queue.builds[job(1)] != nil)
        world.wait(seconds: 600)
        world.project()
        #expect(world.failure(of: job(1)) == nil)
        other.wait(seconds: 60)
        other.project()
        #expect(other.failure(of: job(1)) == .cancelled)
        #expect(other.store(job(1), in: "a").code == .staleAttempt)
    }
}

@Suite("Leases")
struct LeaseTests {
    private func claimed() -> GlobalWorld {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        return world
    }

    @Test("a silent attempt is requeued when its lease ends, not a millisecond before")
    func expiry() {
        var world = claimed()
        #expect(world.plan.askAgainAt == world.now.adding(seconds: 60))
        world.wait(milliseconds: 59_999)
        #expect(world.effects.isEmpty)
        #expect(world.send(.queue(.expireLease(job(1), .first))).code == .leaseNotOver)
        world.wait(milliseconds: 1)
        #expect(world.effects == [.queue(.expireLease(job(1), .first))])
        world.project()
        #expect(world.state.queue.waiting.all == [job(1)])
        #expect(world.state.queue.running.isEmpty)
    }

    @Test("each word of the worker begins the lease anew")
    func heartbeatsProlong() {
        var world = claimed()
        world.wait(seconds: 40)
        world.beat(job(1), .first, counter: 1)
        world.wait(seconds: 59)
        #expect(world.effects.isEmpty)
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        world.wait(seconds: 59)
        #expect(world.effects.isEmpty)
        world.wait(seconds: 1)
        #expect(world.effects.count == 1)
    }

    @Test(
        "after a start, a stall or a clock jump no lease ends before a whole one has passed",
        arguments: [
            LogEvent.engineStarted(version: "1", level: 1), .engineStalled(milliseconds: 20_000),
            .clockJumped(milliseconds: 3_600_000),
        ])
    func floor(_ fact: LogEvent) {
        var world = claimed()
        world.wait(seconds: 3600)
        world.fact(fact)
        #expect(world.effects.isEmpty)
        world.wait(milliseconds: 59_999)
        #expect(world.effects.isEmpty)
        world.wait(milliseconds: 1)
        #expect(world.effects.count == 1)
    }

    /// A worker that waits for its region's word, heartbeat after heartbeat.
    private func uploaded(attempts: UInt32 = 3) -> GlobalWorld {
        var world = GlobalWorld.fleet()
        var settings = Settings()
        (settings.jobTimeoutSeconds, settings.maximumAttempts) = (300, attempts)
        world.send(.changeSettings(settings))
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        return world
    }

    private func beat(_ world: inout GlobalWorld, for seconds: Int64) {
        for _ in 0..<(seconds / 10) {
            world.wait(seconds: 10)
            world.beat(job(1), .first, counter: UInt64(world.now.milliseconds))
        }
    }

    @Test("an upload that its region does not confirm in a job's time is given up, though the worker lives")
    func unconfirmedUpload() {
        var world = uploaded()
        beat(&world, for: 290)
        #expect(world.effects == [])
        beat(&world, for: 10)
        #expect(world.effects == [.queue(.expireLease(job(1), .first))])
        world.project()
        #expect(world.state.queue.jobs[job(1)]?.phase == .queued)
        #expect(world.beat(job(1), .first, counter: .max).code == .staleAttempt)
    }

    @Test("an upload to a region that was removed is given up at once, with the reason in words")
    func uploadToARemovedRegion() {
        var world = uploaded(attempts: 1)
        #expect(world.effects == [])
        world.send(.fleet(.regionRemove(region("a"), reason: "")))
        #expect(world.effects == [.queue(.expireLease(job(1), .first))])
        world.project()
        #expect(world.failure(of: job(1)) == .lost)
        guard case .queue(.failed(_, _, let detail))? = world.events.last else {
            Issue.record("\(world.events)")
            return
        }
        #expect(detail.contains("region a, which it uploaded to, was removed"))
    }

    @Test("after a start an upload has its whole time too")
    func unconfirmedUploadAfterAStart() {
        var world = uploaded()
        beat(&world, for: 290)
        world.fact(.engineStarted(version: "2", level: 1))
        beat(&world, for: 290)
        #expect(world.effects == [])
        beat(&world, for: 10)
        #expect(world.effects == [.queue(.expireLease(job(1), .first))])
    }

    @Test("after a start a cancelled attempt has its whole grace too")
    func floorOfACancel() {
        var world = claimed()
        world.send(.queue(.cancel(job(1), reason: "")))
        world.wait(seconds: 3600)
        world.fact(.engineStarted(version: "1", level: 1))
        world.wait(seconds: 59)
        #expect(world.effects.isEmpty)
        world.wait(seconds: 1)
        #expect(world.effects.count == 1)
    }

    @Test("a lease keeps the length it was claimed with")
    func leaseLengthIsTheClaims() {
        var world = claimed()
        var settings = Settings()
        (settings.leaseSeconds, settings.heartbeatSeconds) = (600, 300)
        world.send(.changeSettings(settings))
        world.wait(seconds: 60)
        #expect(world.effects.count == 1)
    }

    @Test("after the maximum of silent attempts the job is failed(lost)")
    func maximumAttempts() {
        var world = claimed()
        for _ in 1...2 {
            world.wait(seconds: 60)
            world.project()
            #expect(world.failure(of: job(1)) == nil)
            #expect(world.claim()?.job == job(1))
        }
        world.wait(seconds: 60)
        world.project()
        #expect(world.failure(of: job(1)) == .lost)
        #expect(world.state.queue.jobs.isEmpty)
    }

    @Test("an attempt given back is no lost one")
    func releasesAreNotLost() {
        var world = claimed()
        for number in 1...10 {
            world.send(.queue(.release(job(1), attempt(UInt64(number)), detail: "drain")))
            #expect(world.claim()?.attempt == attempt(UInt64(number) + 1))
        }
        #expect(world.state.queue.jobs[job(1)]?.lostAttempts == 0)
    }
}

@Suite("Build once")
struct BuildOnceTests {
    @Test("a repeat of a queued, running or succeeded job is answered with it")
    func reused() {
        var world = GlobalWorld.fleet()
        let reused = GlobalAnswer.queue(.enqueued(job(1), isReused: true))
        world.enqueue(request())
        #expect(world.send(.queue(.enqueue(request()))).answer == reused)
        _ = world.claim()
        #expect(world.send(.queue(.enqueue(request()))).answer == reused)
        world.send(.queue(.reportUploaded(job(1), .first, pack(1))))
        world.store(job(1), in: "a")
        let again = world.send(.queue(.enqueue(request())))
        #expect(again.answer == reused)
        #expect(again.events == [])
    }

    @Test(
        "one repository in other words is the same",
        arguments: [
            "https://git.example/web/", "https://git.example/web.git", "HTTPS://Git.Example/web",
            "https://git.example/web.git//",
        ])
    func canonicalRepository(_ text: String) {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        #expect(world.enqueue(request(repository: text)) == job(1))
    }

    @Test("another app, repository, commit or recipe is another job")
    func otherKeys() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        let others = [
            request("api"), request(repository: "https://git.example/Web"), request(commit: 1),
            request(recipe: "x.yml"),
        ]
        #expect(others.map { world.enqueue($0) } == (2...5).map { job($0) })
    }

    @Test("after a failure the key is free")
    func afterFailure() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        world.send(.queue(.cancel(job(1), reason: "")))
        #expect(world.enqueue(request()) == job(2))
    }

    @Test("a forced request builds anew and answers later repeats")
    func forced() {
        var world = GlobalWorld.fleet()
        world.build(request())
        #expect(world.enqueue(request(isForced: true)) == job(2))
        #expect(world.enqueue(request()) == job(2))
    }

    @Test("when a forced job fails, the kept build answers again")
    func forcedFails() {
        var world = GlobalWorld.fleet()
        world.build(request())
        world.enqueue(request(isForced: true))
        world.enqueue(request(isForced: true))
        world.send(.queue(.cancel(job(2), reason: "")))
        #expect(world.enqueue(request()) == job(3))
        world.send(.queue(.cancel(job(3), reason: "")))
        #expect(world.enqueue(request()) == job(1))
        #expect(world.state.queue.displaced.isEmpty)
    }

    @Test("a job that is being cancelled answers nobody")
    func cancelling() {
        var world = GlobalWorld.fleet()
        world.enqueue(request())
        _ = world.claim()
        world.send(.queue(.cancel(job(1), reason: "")))
        #expect(world.enqueue(request()) == job(2))
        world.send(.queue(.release(job(1), .first, detail: "")))
        #expect(world.enqueue(request()) == job(2))
    }

    @Test("after the loss of the last copy the key is free")
    func lastCopyLost() {
        var world = GlobalWorld.fleet()
        world.build(request())
        world.send(.packLost(job(1), region: region("a"), detail: ""))
        #expect(world.enqueue(request()) == job(1))
        world.send(.packLost(job(1), region: region("b"), detail: ""))
        #expect(world.enqueue(request()) == job(2))
    }

    @Test("a removed region's copy is none")
    func lastCopyRemoved() {
        var world = GlobalWorld.fleet()
        world.build(request(), in: ["a"])
        world.send(.fleet(.regionRemove(region("a"), reason: "sold")))
        #expect(world.state.replicationStatus(job(1)) == .gone)
        #expect(world.enqueue(request()) == job(2))
    }
}
