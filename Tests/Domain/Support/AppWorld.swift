@testable import Domain

/// One peer's machine for one app, and what its effects do to a world of builds, processes and time. It refuses what no
/// agent may do; `problem` says what was.
struct AppWorld {
    var machine = AppMachine(app: app(), seed: 7)
    var now = Timestamp(milliseconds: 1_000_000)
    private(set) var effects: [AppEffect] = []
    private(set) var problem: String?
    /// The process that exists.
    private(set) var process: Launch?
    private(set) var isStopping = false
    private(set) var fetching: FetchOrder?
    /// Launches whose health is being looked at.
    private(set) var checking: Launch?
    private(set) var watched: Launch?
    private(set) var disk: Set<ProvedBuild> = []
    private(set) var wakes: [Timestamp] = []
    private(set) var reports: [PeerApp] = []
    /// Since time passed, or somebody outside wanted something.
    private var startsAtOnce = 0

    /// More starts without time between them are a tight loop.
    static let maximumStartsAtOnce = 4

    var report: PeerApp? { reports.last }

    /// Takes a fact and performs what follows; the effects of this fact alone.
    @discardableResult
    mutating func take(_ fact: (inout AppMachine, Timestamp) -> [AppEffect]) -> [AppEffect] {
        effects = fact(&machine, now)
        for effect in effects { perform(effect) }
        return effects
    }

    private mutating func perform(_ effect: AppEffect) {
        switch effect {
        case .fetch(let order):
            if fetching != nil { fail("two fetches: \(order)") }
            if disk.contains(order.build) { fail("a fetch of what is here: \(order)") }
            fetching = order
        case .cancelFetch(let build):
            if fetching?.build == build { fetching = nil }
        case .start(let launch):
            if let process { fail("\(launch) beside \(process)") }
            if !disk.contains(launch.build) { fail("\(launch) of what is not here") }
            startsAtOnce += 1
            if startsAtOnce > Self.maximumStartsAtOnce { fail("a tight loop of starts") }
            (process, isStopping) = (launch, false)
        case .stop(let launch):
            if process != launch { fail("a stop of \(launch), which is not there") }
            isStopping = true
        case .check(let launch): checking = launch
        case .watch(let launch): watched = launch
        case .evict(let build):
            if process?.build == build || machine.wanted == build { fail("\(build) is evicted while it is needed") }
            disk.remove(build)
        case .report(let report):
            if report.detail.utf8.count > PeerApp.maximumDetailBytes { fail("a report is too long") }
            reports.append(report)
        case .wake(let moment):
            if moment <= now { fail("a wake in the past") }
            wakes.append(moment)
        }
    }

    private mutating func fail(_ what: String) { problem = problem ?? what }

    // MARK: Facts

    @discardableResult
    mutating func assign(_ number: UInt64, _ build: ProvedBuild?, expires: Timestamp = .distantFuture) -> [AppEffect] {
        startsAtOnce = 0
        let next = Assignment(app: app(), revision: revision(number), build: build, expires: expires)
        return take { $0.assigned(next, now: $1) }
    }

    mutating func fetched() {
        guard let order = fetching else { return }
        fetching = nil
        disk.insert(order.build)
        take { $0.fetched(order, now: $1) }
    }

    mutating func fetchFails(isFinal: Bool = false, detail: String = "no space") {
        guard let order = fetching else { return }
        fetching = nil
        take { $0.fetchFailed(order, detail: detail, isFinal: isFinal, now: $1) }
    }

    mutating func started() {
        guard let launch = process else { return }
        take { $0.started(launch, now: $1) }
    }

    mutating func startFails() {
        guard let launch = process, machine.run == .starting(launch) else { return }
        process = nil
        take { $0.startFailed(launch, detail: "no such interpreter", now: $1) }
    }

    mutating func healthy() {
        guard let launch = checking, launch == process else { return }
        checking = nil
        take { $0.healthy(launch, now: $1) }
    }

    mutating func unhealthy() {
        guard let launch = checking ?? watched, launch == process else { return }
        (checking, watched) = (nil, nil)
        take { $0.unhealthy(launch, detail: "answered 500", now: $1) }
    }

    mutating func ends() {
        guard let launch = process, machine.run != .starting(launch) else { return }
        (process, checking, watched) = (nil, nil, nil)
        take { $0.ended(launch, detail: "killed", now: $1) }
    }

    /// The moment of the next wake; without one, a second.
    mutating func timePasses() {
        now = max(wakes.min() ?? .zero, now.adding(seconds: 1))
        wakes.removeAll { $0 <= now }
        startsAtOnce = 0
        take { $0.tick(now: $1) }
    }

    /// The agent is killed, and a new one finds what it wrote down. `withApp`: the machine goes down with it.
    mutating func agentRestarts(withApp: Bool = false) {
        startsAtOnce = 0
        if withApp { processVanishes() }
        // What was about to be started when it was killed is found running.
        (fetching, checking, watched, wakes) = (nil, nil, nil, [])
        let (found, kept) = (process, disk.sorted { ($0.build, $0.manifest) < ($1.build, $1.manifest) })
        take { $0.resumed(running: found, kept: kept, now: $1) }
    }

    /// Nobody tells that it ended.
    mutating func processVanishes() { process = nil }

    /// From an assignment to a healthy process, everything going well.
    mutating func run(_ number: UInt64, _ build: ProvedBuild) {
        assign(number, build)
        settle()
    }

    /// Answers everything well until nothing is left to do.
    mutating func settle() {
        for _ in 0..<200 {
            if fetching != nil {
                fetched()
            } else if isStopping, process != nil {
                ends()
            } else if case .starting = machine.run {
                started()
            } else if checking != nil {
                healthy()
            } else if wakes.isEmpty {
                return
            } else {
                timePasses()
            }
        }
    }
}

/// A build by number; `branch` tells those of one number apart.
func build(_ number: UInt64, branch: UInt64 = 0) -> ProvedBuild {
    ProvedBuild(build: job(number), manifest: Digest(words: number, branch, 2, 3))
}
