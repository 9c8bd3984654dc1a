import Client
package import Domain
import Foundation
package import Logging
package import Packs
package import Ports
import ServiceLifecycle
import Synchronization
import Wire

package struct WorkerConfiguration: Sendable {
    package var name: WorkerName
    package var region: RegionName
    /// The global process's routes, as in `http://10.0.0.1:7070`.
    package var control: String
    /// Workspaces live here, one an attempt; swept at start.
    package var directory: String
    package var settings = WorkerSettings()
    package var build = BuildSettings()
    package var pack = PackSettings()

    package init(name: WorkerName, region: RegionName, control: String, directory: String) {
        (self.name, self.region, self.control, self.directory) = (name, region, control, directory)
    }
}

/// A machine that builds: performs what its machine decides, one job at a time.
package final class WorkerService: Service {
    enum Fact: Sendable {
        case claimed(ClaimedJob, regionEndpoint: String)
        case noWork, claimFailed
        case stageChanged(AttemptKey, AttemptStage)
        case buildEnded(AttemptKey, BuildFailure?)
        case packed(AttemptKey), packFailed(AttemptKey, BuildFailure)
        case uploaded(AttemptKey), uploadFailed(AttemptKey, UploadTrouble)
        case uploadRejected(AttemptKey, detail: String)
        case reported(AttemptKey, ReportVerdict), reportFailed(AttemptKey), reportRejected(AttemptKey, detail: String)
        case jobEnded(AttemptKey), endNotSeen(AttemptKey)
        case heartbeatAnswered(AttemptKey, counter: UInt64, HeartbeatVerdict)
        case heartbeatFailed(AttemptKey, counter: UInt64)
        case drain, shutdown, tick
    }

    let configuration: WorkerConfiguration
    let client: GlobalClient
    let workspaces: Workspaces
    let logger: Logger
    private let clock: any ClockSource
    private let ready: @Sendable () -> Void
    private let facts = AsyncStream.makeStream(of: Fact.self)
    /// The attempt at hand; one at a time.
    let attempt = Mutex<AttemptWork?>(nil)
    private let claim = Mutex<Task<Void, Never>?>(nil)
    private let claimKey: ClaimKey
    private let refusal = Mutex(ClaimRefusal())

    static let claimWaitMilliseconds: Int64 = 20_000
    /// How long one part of an upload may take.
    static let partMilliseconds: Int64 = 60_000

    /// - Parameter ready: told once, when the global process knows the worker.
    package init(
        configuration: WorkerConfiguration, clock: any ClockSource, logger: Logger,
        ready: @escaping @Sendable () -> Void
    ) {
        (self.configuration, self.clock, self.logger, self.ready) = (configuration, clock, logger, ready)
        client = GlobalClient(
            endpoint: configuration.control, actor: .worker(configuration.name), settings: .withoutRetries)
        workspaces = Workspaces(directory: configuration.directory)
        claimKey = ClaimKey(path: configuration.directory + "/claim-key")
    }

    /// With rests of this worker's own.
    var settings: WorkerSettings {
        var settings = configuration.settings
        settings.jitterSeed = configuration.name.rawValue.utf8.reduce(1) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return settings
    }

    func now() -> Int64 { clock.read().monotonicMilliseconds }

    func tell(_ fact: Fact) { facts.continuation.yield(fact) }

    /// Finishes what was begun, then ends.
    package func drain() { tell(.drain) }

    package func run() async throws {
        try await workspaces.sweep()
        await withGracefulShutdownHandler {
            await join()
            await work()
        } onGracefulShutdown: {
            self.tell(.shutdown)
        }
    }

    /// Until the global process knows us: it may start after us, and so may our region.
    private func join() async {
        var failures = 0
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do throws(ClientFailure) {
                _ = try await client.joinWorker(configuration.name, region: configuration.region)
                return ready()
            } catch {
                logger.info("not joined yet", metadata: ["failure": "\(error)"])
                failures += 1
                let pause = settings.retryDelay(failures: failures)
                await cancelWhenGracefulShutdown { try? await Task.sleep(for: .milliseconds(pause)) }
            }
        }
    }

    private func work() async {
        var machine = WorkerMachine(settings: settings)
        await withDiscardingTaskGroup { group in
            for effect in machine.started(now: now()) { _ = perform(effect, in: &group) }
            for await fact in facts.stream {
                for effect in take(fact, into: &machine) {
                    if perform(effect, in: &group) {
                        group.cancelAll()
                        return
                    }
                }
            }
        }
    }

    private func take(_ fact: Fact, into machine: inout WorkerMachine) -> [WorkerEffect] {
        let now = now()
        switch fact {
        case .claimed(let job, let endpoint):
            var settings = ClientSettings.withoutRetries
            settings.requestTimeoutMilliseconds = Self.partMilliseconds
            let region = RegionClient(endpoint: endpoint, actor: .worker(configuration.name), settings: settings)
            attempt.withLock { $0 = AttemptWork(job: job, region: region) }
            return machine.claimed(job, now: now)
        case .noWork: return machine.noWork(now: now)
        case .claimFailed: return machine.claimFailed(now: now)
        case .stageChanged(let key, let stage): return machine.stageChanged(key, to: stage)
        case .buildEnded(let key, let failure): return machine.buildEnded(key, failure, now: now)
        case .packed(let key): return machine.packed(key, now: now)
        case .packFailed(let key, let failure): return machine.packFailed(key, failure, now: now)
        case .uploaded(let key): return machine.uploaded(key, now: now)
        case .uploadFailed(let key, let trouble): return machine.uploadFailed(key, trouble, now: now)
        case .uploadRejected(let key, let detail): return machine.uploadRejected(key, detail: detail, now: now)
        case .reported(let key, let verdict): return machine.reported(key, verdict, now: now)
        case .reportFailed(let key): return machine.reportFailed(key, now: now)
        case .reportRejected(let key, let detail): return machine.reportRejected(key, detail: detail, now: now)
        case .jobEnded(let key): return machine.jobEnded(key)
        case .endNotSeen(let key): return machine.endNotSeen(key)
        case .heartbeatAnswered(let key, let counter, let verdict):
            return machine.heartbeatAnswered(key, counter: counter, verdict, now: now)
        case .heartbeatFailed(let key, let counter): return machine.heartbeatFailed(key, counter: counter, now: now)
        case .drain: return machine.drain()
        case .shutdown: return machine.shutdown(now: now)
        case .tick: return machine.tick(now: now)
        }
    }

    /// Starts an effect; its answer comes back as a fact. True for the last one.
    private func perform(_ effect: WorkerEffect, in group: inout DiscardingTaskGroup) -> Bool {
        switch effect {
        case .claim: startClaim()
        case .cancelClaim: claim.withLock { $0?.cancel() }
        case .startBuild(let job): startWork(job.key) { await self.build(job) }
        case .pack(let key): startWork(key) { await self.pack(key) }
        case .upload(let key): startWork(key) { await self.upload(key) }
        case .stopWork(let key): attempt.withLock { if $0?.job.key == key { $0?.task?.cancel() } }
        case .heartbeat(let key, let counter, let stage):
            group.addTask { await self.heartbeat(key, counter: counter, stage: stage) }
        case .reportUploaded(let key): group.addTask { await self.reportUploaded(key) }
        case .reportFailed(let key, let failure): group.addTask { await self.reportFailed(key, failure) }
        case .release(let key): group.addTask { await self.release(key) }
        case .awaitEnd(let key): group.addTask { await self.awaitEnd(key) }
        case .deleteWorkspace(let key): group.addTask { await self.workspaces.delete(key) }
        case .setTimer(let moment):
            let pause = max(0, moment - now())
            group.addTask {
                try? await Task.sleep(for: .milliseconds(pause))
                if !Task.isCancelled { self.tell(.tick) }
            }
        case .finish: return true
        }
        return false
    }

    /// The build, packing or upload at hand: a task of its own, so that a cancel can end it alone.
    private func startWork(_ key: AttemptKey, _ work: @escaping @Sendable () async -> Void) {
        attempt.withLock { attempt in
            guard attempt?.job.key == key else { return }
            attempt?.task = Task(operation: work)
        }
    }

    private func startClaim() {
        let task = Task {
            do throws(ClientFailure) {
                let answer = try await client.claim(
                    configuration.name, wait: WireDuration(milliseconds: Self.claimWaitMilliseconds),
                    key: claimKey.current)
                claimKey.answered()
                refusal.withLock { $0.ended() }
                guard let answer else { return tell(.noWork) }
                tell(.claimed(ClaimedJob(answer), regionEndpoint: answer.regionEndpoint))
            } catch {
                if case .problem(let problem) = error { note(problem) }
                if error.code == RefusalCode.unknownWorker.rawValue { await join() }
                tell(.claimFailed)
            }
        }
        claim.withLock { $0 = task }
    }

    private func note(_ problem: Problem) {
        guard refusal.withLock({ $0.isNews(problem.code, problem.detail) }) else { return }
        logger.warning("claims are refused", metadata: ["code": "\(problem.code)", "detail": "\(problem.detail)"])
    }
}

/// What is at hand for one attempt.
struct AttemptWork: Sendable {
    let job: ClaimedJob
    let region: RegionClient
    var task: Task<Void, Never>?
    var artifact: BuiltArtifact?
    var packPath: String?
    var manifest: Manifest?
}

extension ClaimedJob {
    init(_ answer: ClaimAnswer) {
        self.init(
            key: AttemptKey(job: answer.job, attempt: answer.attempt),
            request: JobRequest(
                app: answer.app, repository: answer.repository, commit: answer.commit, recipePath: answer.recipe),
            heartbeatSeconds: answer.heartbeatSeconds, jobTimeoutSeconds: answer.jobTimeoutSeconds)
    }
}
