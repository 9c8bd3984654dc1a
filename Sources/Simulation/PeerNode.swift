import Agent
import Domain
import Engine
import Ports
import Projectors
import Region
import Swarm

/// What a region tells a peer to run, with log time.
struct AssignmentsReply {
    var assignments: [Assignment]
    var revision: Revision
    var now: Timestamp
}

/// A machine of the fleet: the real machine of each app over simulated packs and processes.
///
/// Its disk keeps each app's machine, its builds and verified pieces; processes outlive the agent, but not the power.
final class PeerNode {
    struct Process: Hashable {
        var launch: Launch
        /// Fails its checks from now on.
        var isSick = false
    }

    let node: Node
    let name: PeerName
    let labels: [String: String]
    let region: RegionNode
    unowned let world: World
    /// Set when all peers are there: whom it can fetch from.
    var others: [PeerName: PeerNode] = [:]

    // On disk.
    private var written: [AppName: AppMachine] = [:]
    private(set) var kept: [AppName: [ProvedBuild]] = [:]
    /// Whole packs, to give on.
    var wholePacks: [Digest: PackFacts] = [:]
    /// Verified pieces of packs that are not whole.
    var pieces: [Digest: PieceSet] = [:]

    /// Running now, whoever started them; at most one an app.
    private(set) var processes: [AppName: Process] = [:]

    // In memory only.
    private(set) var apps: [AppName: AppMachine] = [:]
    var fetches: [ProvedBuild: Fetch] = [:]
    private var waiting = WaitingReports()
    private var isReporting = false
    private var logTime: Int64 = 0
    private var following: FollowMachine
    private var reportBackoff: Backoff
    private let seed: UInt64

    /// Builds that fail their check here: they never become healthy.
    var isBadBuild: (BuildID) -> Bool = { _ in false }
    /// A planted bug: a wake that comes too early, as the clock was ahead when it was asked for, is the last.
    var forgetsWakes = false

    private static let waitMilliseconds: Int64 = 20_000
    private static let callMilliseconds: Int64 = 10_000

    init(world: World, name: PeerName, labels: [String: String], region: RegionNode, seed: UInt64) {
        (self.world, self.name, self.labels, self.region, self.seed) = (world, name, labels, region, seed)
        (following, reportBackoff) = (FollowMachine(seed: seed), Backoff(seed: seed &+ 1))
        node = world.add(name.rawValue)
    }

    /// Log time as the region last told it.
    private var now: Timestamp { Timestamp(milliseconds: node.monotonic + logTime) }

    // MARK: Life

    func start() {
        node.isUp = true
        logTime = node.clock.read().wallMilliseconds - node.monotonic
        (apps, fetches, waiting, isReporting) = ([:], [:], WaitingReports(), false)
        (following, reportBackoff) = (FollowMachine(seed: seed), Backoff(seed: seed &+ 1))
        for app in written.keys.sorted() { resume(app) }
        perform(following.started())
        announceKept()
    }

    /// The agent ends; with the power everything that runs.
    func crash(losesPower: Bool) {
        world.down(node)
        if losesPower { processes = [:] }
    }

    private func resume(_ app: AppName) {
        apps[app] = written[app] ?? AppMachine(app: app, seed: seed)
        let launch = processes[app]?.launch
        tell(app) { $0.resumed(running: launch, kept: kept[app] ?? [], now: $1) }
    }

    // MARK: Following the region

    private func perform(_ effect: FollowEffect) {
        switch effect {
        case .enrol: enrol()
        case .ask(let revision): ask(after: revision)
        case .rest(let milliseconds):
            world.after(milliseconds: milliseconds, on: node) { [self] in perform(following.rested()) }
        }
    }

    private func enrol() {
        call("enrol") { [self] answer in
            region.presenceOf(name)
            region.host.submit(
                Submission(
                    command: .enrol(name, labels: labels, endpoint: "http://\(name)"), actor: .peer(name))
            ) { result in
                if case .success(.accepted) = result { answer(true) } else { answer(false) }
            }
        } then: { [self] (isDone: Bool?) in
            guard isDone == true else { return perform(following.failed()) }
            let next = following.enrolled()
            for app in apps.keys.sorted() { tell(app) { $0.enrolled(now: $1) } }
            perform(next)
        }
    }

    private func ask(after revision: Revision) {
        call("assignments", timeoutMilliseconds: Self.waitMilliseconds + Self.callMilliseconds) { [self] answer in
            region.assignments(of: name, after: revision, waitMilliseconds: Self.waitMilliseconds, answer: answer)
        } then: { [self] (reply: AssignmentsReply??) in
            guard let reply, let reply else { return perform(following.failed()) }
            logTime = reply.now.milliseconds - node.monotonic
            for assignment in reply.assignments {
                if apps[assignment.app] == nil { resume(assignment.app) }
                tell(assignment.app) { $0.assigned(assignment, now: $1) }
            }
            perform(following.answered(reply.revision))
        }
    }

    func call<Answer>(
        _ what: StaticString, timeoutMilliseconds: Int64 = PeerNode.callMilliseconds,
        serve: @escaping (@escaping (Answer) -> Void) -> Void, then: @escaping (Answer?) -> Void
    ) {
        world.call(
            what, from: node, to: region.node, timeoutMilliseconds: timeoutMilliseconds, serve: serve, then: then)
    }

    // MARK: Apps

    /// Hands a fact to an app's machine. It is on disk before anything it decided is done.
    func tell(_ app: AppName, _ fact: (inout AppMachine, Timestamp) -> [AppEffect]) {
        guard var machine = apps[app] else { return }
        let effects = fact(&machine, now)
        apps[app] = machine
        written[app] = machine
        for effect in effects { perform(effect, app) }
    }

    private func perform(_ effect: AppEffect, _ app: AppName) {
        switch effect {
        case .fetch(let order): fetch(app, order)
        case .cancelFetch(let build):
            fetches[build] = nil
            drop(app, build)
        case .evict(let build): drop(app, build)
        case .start(let launch): start(app, launch)
        case .stop(let launch): stop(app, launch)
        case .check(let launch): check(app, launch)
        case .watch(let launch): watch(app, launch)
        case .report(let report):
            waiting.report(app, report)
            reportSoon()
        case .wake(let moment):
            world.after(milliseconds: max(0, moment.millisecondsSince(now)), on: node) { [self] in
                if forgetsWakes, rests(app) { return }
                tell(app) { $0.tick(now: $1) }
            }
        }
    }

    /// Whether something of an app rests for longer.
    private func rests(_ app: AppName) -> Bool {
        if case .resting(_, let until)? = apps[app]?.run, until > now { return true }
        return apps[app]?.fetch?.retryAt.map { $0 > now } ?? false
    }

    /// Whether something of an app should have gone on long ago, and rests.
    func oversleeps(_ app: AppName) -> Bool {
        let late = now.adding(milliseconds: -Self.lateMilliseconds)
        if case .resting(_, let until)? = apps[app]?.run, until < late { return true }
        return apps[app]?.fetch?.retryAt.map { $0 < late } ?? false
    }

    private static let lateMilliseconds: Int64 = 60_000

    private func drop(_ app: AppName, _ build: ProvedBuild) {
        kept[app]?.removeAll { $0 == build }
        wholePacks[build.manifest] = nil
        pieces[build.manifest] = nil
    }

    /// A build is whole, verified and unpacked here.
    func unpacked(_ app: AppName, _ order: FetchOrder, _ facts: PackFacts) {
        wholePacks[facts.digest] = facts
        pieces[facts.digest] = nil
        if kept[app]?.contains(order.build) != true { kept[app, default: []].append(order.build) }
        tell(app) { $0.fetched(order, now: $1) }
    }

    // MARK: Processes

    private func start(_ app: AppName, _ launch: Launch) {
        world.after(milliseconds: world.among(5...300), on: node) { [self] in
            world.noteStart(launch, of: app, on: self)
            if world.happens(perMille: 20) {
                world.counts.note("app does not start")
                return tell(app) { $0.startFailed(launch, detail: "it does not start", now: $1) }
            }
            processes[app] = Process(launch: launch)
            tell(app) { $0.started(launch, now: $1) }
        }
    }

    private func stop(_ app: AppName, _ launch: Launch) {
        guard processes[app]?.launch == launch else {
            return world.after(0, on: node) { [self] in tell(app) { $0.ended(launch, detail: "", now: $1) } }
        }
        world.after(milliseconds: world.among(5...2000), on: node) { [self] in
            if processes[app]?.launch == launch { processes[app] = nil }
            tell(app) { $0.ended(launch, detail: "stopped", now: $1) }
        }
    }

    private func check(_ app: AppName, _ launch: Launch) {
        world.after(milliseconds: world.among(500...3000), on: node) { [self] in
            guard let process = processes[app], process.launch == launch else {
                return tell(app) { $0.unhealthy(launch, detail: "its process is not known", now: $1) }
            }
            if process.isSick || isBadBuild(launch.build.build) {
                tell(app) { $0.unhealthy(launch, detail: "it is not healthy", now: $1) }
            } else {
                tell(app) { $0.healthy(launch, now: $1) }
            }
        }
    }

    /// Looks every few seconds until it is sick, or gone.
    private func watch(_ app: AppName, _ launch: Launch) {
        world.after(milliseconds: world.among(2000...5000), on: node) { [self] in
            guard let process = processes[app], process.launch == launch else {
                return tell(app) { $0.ended(launch, detail: "it has ended", now: $1) }
            }
            if process.isSick { return tell(app) { $0.unhealthy(launch, detail: "it is sick", now: $1) } }
            watch(app, launch)
        }
    }

    /// A fault: one app's process ends, or is sick from now on.
    func harm(_ app: AppName, ends: Bool) {
        guard let process = processes[app] else { return }
        if ends { processes[app] = nil } else { processes[app]?.isSick = true }
        guard ends else { return }
        world.after(milliseconds: 5, on: node) { [self] in
            tell(app) { $0.ended(process.launch, detail: "it was killed", now: $1) }
        }
    }

    // MARK: Reports

    private func reportSoon() {
        guard !isReporting else { return }
        isReporting = true
        sendReports()
    }

    /// Again and again until what is waiting was taken; the latest word of each app wins.
    private func sendReports() {
        let sent = waiting.next
        guard !sent.isEmpty else {
            isReporting = false
            return
        }
        call("report") { [self] answer in
            region.report(sent, of: name, answer: answer)
        } then: { [self] (isDone: Bool?) in
            if isDone == true {
                reportBackoff.succeeded()
                waiting.taken(sent)
                return sendReports()
            }
            world.after(milliseconds: reportBackoff.nextMilliseconds(), on: node) { [self] in sendReports() }
        }
    }
}

// MARK: - What a region answers peers

extension RegionNode {
    private static let heardMilliseconds: Int64 = 5000

    func presenceOf(_ peer: PeerName) { hear(peer) { _ in } }

    /// Nil when the peer is not enrolled.
    func assignments(
        of peer: PeerName, after revision: Revision, waitMilliseconds: Int64,
        answer: @escaping (AssignmentsReply?) -> Void
    ) {
        let deadline = node.monotonic + waitMilliseconds
        hear(peer) { [self] isEnrolled in
            guard isEnrolled else { return answer(nil) }
            host.read { [self] state, position, now in
                let found = state.assignments(of: peer)
                let newest = found.map(\.revision).max() ?? .zero
                let left = deadline - node.monotonic
                guard newest <= revision, left > 0 else {
                    world.noteAssigned(found, by: self)
                    return answer(AssignmentsReply(assignments: found, revision: newest, now: now))
                }
                host.awaitChange(
                    after: position.sequence, milliseconds: max(1, min(left, Self.heardMilliseconds))
                ) { [self] in
                    assignments(
                        of: peer, after: revision, waitMilliseconds: max(0, deadline - node.monotonic), answer: answer)
                }
            }
        }
    }

    func report(_ apps: [WaitingReports.Word], of peer: PeerName, answer: @escaping (Bool) -> Void) {
        hear(peer) { [self] isEnrolled in
            guard isEnrolled else { return answer(false) }
            report(apps[...], of: peer, answer)
        }
    }

    private func report(
        _ apps: ArraySlice<WaitingReports.Word>, of peer: PeerName, _ answer: @escaping (Bool) -> Void
    ) {
        guard let (app, word) = apps.first else { return answer(true) }
        host.submit(Submission(command: .peerReport(peer, app, word), actor: .peer(peer))) { [self] result in
            guard case .success(.accepted) = result else { return answer(false) }
            report(apps.dropFirst(), of: peer, answer)
        }
    }
}
