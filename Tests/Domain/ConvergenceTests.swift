import Domain
import Testing

@Suite("Deployments: superseding and convergence")
struct ConvergenceTests {
    private let scopeA = TargetScope.region(region("a"))

    /// Builds 1 to 3 of `web`, everywhere; 1 deployed.
    private func deployed(allowEmpty: Bool = false) -> GlobalWorld {
        var world = GlobalWorld.fleet()
        for number in 1...3 { world.build(request(commit: number)) }
        world.deploy(job(1), allowEmpty: allowEmpty)
        return world
    }

    @Test("a newer target of an app supersedes its older deployment, other apps go on")
    func superseded() {
        var world = deployed()
        world.build(request("api", commit: 9))
        world.deploy(job(4), of: "api")
        world.deploy(job(2))
        #expect(world.ends == [revision(1): .superseded])
        #expect(world.state.targets.open.keys.sorted() == [revision(2), revision(3)])
        #expect(world.send(.targets(.settle(revision(1)))).code == .deploymentEnded)
        #expect(world.send(.targets(.settle(revision(9)))).code == .unknownDeployment)
    }

    @Test("a region's deployment ends its own scope's only, a global one all")
    func scopes() {
        var world = deployed()
        world.deploy(job(2), to: scopeA)
        world.deploy(job(2), to: .region(region("b")))
        #expect(world.ends.isEmpty)
        world.deploy(job(3), to: scopeA)
        #expect(world.ends == [revision(2): .superseded])
        world.deploy(job(1))
        #expect(world.ends.count == 4)
        #expect(world.state.targets.open.keys.sorted() == [revision(5)])
    }

    @Test("done when every live region reports all its live selected peers healthy")
    func succeeds() {
        var world = deployed()
        world.level("a", at: revision(1), healthy: 3, of: 3)
        world.project()
        #expect(world.state.targets.open[revision(1)]?.converged == [region("a")])
        world.level("b", at: revision(1), healthy: 4, of: 5)
        world.project()
        #expect(world.ends.isEmpty)
        world.level("b", at: revision(1), healthy: 5, of: 5)
        world.project()
        #expect(world.ends == [revision(1): .succeeded])
        #expect(world.effects.isEmpty)
    }

    @Test("the share that must be healthy is a setting")
    func share() {
        var world = deployed()
        var settings = Settings()
        settings.convergedShare = 9000
        world.send(.changeSettings(settings))
        world.level("a", at: revision(1), healthy: 9, of: 10)
        world.level("b", at: revision(1), healthy: 89, of: 100)
        world.project()
        #expect(world.ends.isEmpty)
        world.level("b", at: revision(1), healthy: 90, of: 100)
        world.project()
        #expect(world.ends == [revision(1): .succeeded])
    }

    @Test("only a report at this revision or later counts")
    func olderReport() {
        var world = deployed()
        for name in ["a", "b"] { world.level(name, at: revision(1), healthy: 3, of: 3) }
        world.deploy(job(2))
        world.project()
        #expect(world.ends == [revision(1): .superseded])
        for name in ["a", "b"] { world.level(name, at: revision(3), healthy: 3, of: 3) }
        world.project()
        #expect(world.ends[revision(2)] == .succeeded)
    }

    @Test("a region that falls back before the end holds the deployment open")
    func fallsBack() {
        var world = deployed()
        world.level("a", at: revision(1), healthy: 3, of: 3)
        world.project()
        world.level("a", at: revision(1), healthy: 2, of: 3)
        world.level("b", at: revision(1), healthy: 1, of: 1)
        world.project()
        #expect(world.ends.isEmpty)
    }

    @Test("suspended regions are not waited for; one that returns is")
    func suspended() {
        var world = deployed()
        world.level("a", at: revision(1), healthy: 3, of: 3)
        world.send(.fleet(.regionSilent(region("b"))))
        var without = world
        without.project()
        #expect(without.ends == [revision(1): .succeeded])
        world.send(.fleet(.regionReport(region("b"), [])))
        world.project()
        #expect(world.ends.isEmpty)
    }

    @Test("with no live selected peer it stays open to its deadline, unless allowed empty")
    func empty() {
        var world = deployed()
        for name in ["a", "b"] { world.level(name, at: revision(1), healthy: 0, of: 0) }
        world.project()
        #expect(world.ends.isEmpty)
        world.wait(seconds: 1799)
        world.project()
        #expect(world.ends.isEmpty)
        world.wait(seconds: 1)
        world.project()
        #expect(world.ends == [revision(1): .failed])
        var allowed = deployed(allowEmpty: true)
        allowed.project()
        #expect(allowed.ends.isEmpty, "the regions have not said so yet")
        for name in ["a", "b"] { allowed.level(name, at: revision(1), healthy: 0, of: 0) }
        allowed.project()
        #expect(allowed.ends == [revision(1): .succeeded])
    }

    @Test("not done by its deadline it has failed, and says where")
    func deadline() {
        var world = deployed()
        world.level("a", at: revision(1), healthy: 2, of: 3, failed: 1, detail: "p7: exit 1")
        #expect(world.plan.askAgainAt == world.now.adding(seconds: 1800))
        world.wait(seconds: 1800)
        world.project()
        let detail = "not converged by the deadline: a: 2 of 3 healthy, 1 failed (p7: exit 1); b: no report yet"
        #expect(world.events.last == .targets(.deploymentEnded(revision(1), app(), .failed, detail: detail)))
        #expect(world.target()?.current.build == job(1), "the target stays")
    }

    @Test("the base is the last build whose deployment to everyone succeeded")
    func base() {
        var world = deployed()
        #expect(world.target()?.base == nil)
        for name in ["a", "b"] { world.level(name, at: revision(1), healthy: 1, of: 1) }
        world.project()
        world.deploy(job(2), selector: PeerSelector(labels: ["tier": "canary"]))
        #expect(world.target()?.base?.build == job(1))
        for name in ["a", "b"] { world.level(name, at: revision(2), healthy: 1, of: 1) }
        world.project()
        #expect(world.ends[revision(2)] == .succeeded)
        world.deploy(job(3))
        #expect(world.target()?.base?.build == job(1), "a canary is not everyone")
        #expect(world.target()?.previous?.build == job(2))
    }

    @Test("a region's first own target has the global base, so that its other peers keep what they run")
    func baseOfARegion() {
        var world = deployed()
        for name in ["a", "b"] { world.level(name, at: revision(1), healthy: 1, of: 1) }
        world.project()
        world.deploy(job(2), to: scopeA, selector: PeerSelector(labels: ["tier": "canary"]))
        let target = world.target(in: scopeA)
        #expect(target?.base?.build == job(1))
        #expect(target?.previous?.build == job(1))
        #expect(target?.build(for: peer("p1"), labels: [:])?.build == job(1))
        #expect(target?.build(for: peer("p1"), labels: ["tier": "canary"])?.build == job(2))
    }

    @Test("a later global success is every region's base")
    func globalBase() {
        var world = deployed()
        world.deploy(job(2), to: scopeA)
        world.deploy(job(3))
        for name in ["a", "b"] { world.level(name, at: revision(3), healthy: 1, of: 1) }
        world.project()
        world.deploy(job(2), to: scopeA)
        #expect(world.target(in: scopeA)?.base?.build == job(3))
    }
}

@Suite("Reissue")
struct ReissueTests {
    private let scopeA = TargetScope.region(region("a"))
    private let day: Int64 = 24 * 3600

    private func built() -> GlobalWorld {
        var world = GlobalWorld.fleet()
        for number in 1...2 { world.build(request(commit: number)) }
        return world
    }

    @Test("a target is issued again at half of its life: same content, new revision")
    func halfLife() {
        var world = built()
        world.deploy(job(1), allowEmpty: true)
        for name in ["a", "b"] { world.level(name, at: revision(1), healthy: 1, of: 1) }
        world.project()
        let old = world.target()
        #expect(world.plan.askAgainAt == world.now.adding(seconds: 7 * day))
        world.wait(seconds: 7 * day - 1)
        #expect(world.effects.isEmpty)
        #expect(world.send(.targets(.reissue(app(), .global))).events == [])
        world.wait(seconds: 1)
        world.project()
        var expected = old
        expected?.revision = revision(2)
        expected?.issued = world.now
        expected?.expires = world.now.adding(seconds: 14 * day)
        #expect(world.target() == expected)
        #expect(world.state.targets.open.isEmpty)
        #expect(world.effects.isEmpty)
    }

    @Test("a new epoch issues everything again at once")
    func epoch() {
        var world = built()
        world.deploy(job(1))
        world.fact(.epochStarted(epoch: Epoch(rawValue: 2), reason: "promotion"))
        #expect(world.effects == [.targets(.reissue(app(), .global))])
        world.project()
        #expect(world.target()?.revision == revision(2, epoch: 2))
        #expect(world.target()?.deployment == revision(1))
        #expect(world.state.targets.open[revision(1)]?.revision == revision(2, epoch: 2))
        #expect(world.effects.isEmpty)
    }

    @Test("a global reissue never takes a region's newer own target away")
    func regionStaysAhead() {
        var world = built()
        world.deploy(job(1))
        world.wait(seconds: day)
        world.deploy(job(2), to: scopeA)
        world.wait(seconds: 6 * day)
        world.project()
        #expect(world.state.targets.effectiveTarget(app(), scopeA)?.current.build == job(2))
        #expect(world.state.targets.effectiveTarget(app(), .region(region("b")))?.current.build == job(1))
    }

    @Test("a region's target that a global one overtook is never issued again")
    func overtakenStaysBehind() {
        var world = built()
        world.deploy(job(2), to: scopeA)
        world.wait(seconds: day)
        world.deploy(job(1))
        for epoch in UInt64(2)...3 {
            world.wait(seconds: 6 * day)
            world.project()
            #expect(world.state.targets.effectiveTarget(app(), scopeA)?.current.build == job(1))
            world.fact(.epochStarted(epoch: Epoch(rawValue: epoch), reason: "restore"))
            world.project()
            #expect(world.state.targets.effectiveTarget(app(), scopeA)?.current.build == job(1))
        }
        #expect(world.send(.targets(.reissue(app(), scopeA))).code == .invalid)
        #expect(world.effects.isEmpty)
    }
}

@Suite("Admission")
struct AdmissionTests {
    private func target(share: UInt32, labels: [String: String] = [:]) -> Target {
        Target(
            app: app(), scope: .global, revision: revision(3), deployment: revision(2),
            current: ProvedBuild(build: job(2), manifest: manifest(2)),
            base: ProvedBuild(build: job(1), manifest: manifest(1)), previous: nil,
            selector: PeerSelector(labels: labels),
            admittedShare: share, actor: .system, reason: "", issued: .zero, expires: .zero)
    }

    @Test("tickets are uniform: each tenth of 20,000 peers is within 10 % of its share")
    func uniform() {
        var tenths = Array(repeating: 0, count: 10)
        for number in 0..<20_000 {
            let ticket = admissionTicket(app: app(), deployment: revision(2), peer: peer("peer-\(number)"))
            #expect(ticket < Target.wholeShare)
            tenths[Int(ticket / 1000)] += 1
        }
        for count in tenths { #expect((1800...2200).contains(count)) }
    }

    @Test("another deployment or app draws the peers anew")
    func independent() {
        let both = (0..<2000).filter {
            let name = peer("peer-\($0)")
            return admissionTicket(app: app(), deployment: revision(2), peer: name) < 1000
                && admissionTicket(app: app(), deployment: revision(3), peer: name) < 1000
        }
        #expect((5...40).contains(both.count), "a tenth of a tenth of 2,000 is 20")
    }

    @Test("as the share grows the admitted set only grows, from nobody to everybody")
    func monotone() {
        let names = (0..<500).map { peer("peer-\($0)") }
        var admitted: Set<PeerName> = []
        for share in stride(from: UInt32(0), through: 10_000, by: 500) {
            let now = Set(names.filter { target(share: share).admits($0, labels: [:]) })
            #expect(now.isSuperset(of: admitted))
            admitted = now
            if share == 0 { #expect(now.isEmpty) }
        }
        #expect(admitted.count == names.count)
    }

    @Test("a ticket is the same for ever")
    func fixed() {
        let tickets = ["p1", "p2", "p3"].map { admissionTicket(app: app(), deployment: revision(1), peer: peer($0)) }
        #expect(tickets == [9044, 1848, 6033])
    }

    @Test("who is not selected or not admitted runs the base build")
    func baseForTheRest() {
        let canary = target(share: 10_000, labels: ["tier": "canary", "zone": "x"])
        #expect(canary.build(for: peer("p"), labels: ["tier": "canary", "zone": "x", "more": "y"])?.build == job(2))
        #expect(canary.build(for: peer("p"), labels: ["tier": "canary"])?.build == job(1))
        #expect(target(share: 0).build(for: peer("p"), labels: [:])?.build == job(1))
    }
}
