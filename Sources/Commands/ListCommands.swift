import ArgumentParser
import Client
import Domain
import Foundation
import Wire

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "The whole system on one page.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions

    func run() async throws {
        let status = try await server.client().status(at: past.at)
        if server.json { return try Terminal.say(json: status) }
        past.say(status.sequence)
        let jobs = status.jobs
        Terminal.say("log     \(status.log) epoch \(status.epoch) sequence \(status.sequence)")
        Terminal.say(
            "jobs    \(jobs.queued) queued, \(jobs.running) running, \(jobs.succeeded) succeeded, \(jobs.failed) failed"
        )
        Terminal.say("builds  \(status.builds) kept")
        if let stopped = status.claimsStopped { Terminal.say("claims  \(stopped.words)") }
        if let backup = status.backup { Terminal.say("backup  \(Self.words(backup, head: status.sequence))") }
        Terminal.say("regions \(status.regions.map { "\($0.name) \($0.status.rawValue)" }.joined(separator: ", "))")
        Terminal.say(
            "workers \(status.workers.map { "\($0.name) \(WorkersCommand.state($0))" }.joined(separator: ", "))")
        if !status.targets.isEmpty { TargetsCommand.show(status.targets) }
        for deployment in status.deployments { Terminal.say(DeploymentWait.line(deployment)) }
    }

    static func words(_ backup: BackupBody, head: LogSequence, now: Date = Date()) -> String {
        var words = backup.place
        if let sequence = backup.sequence { words += ", at sequence \(sequence) of \(head)" }
        if let problem = backup.problem { words += ", failing: \(problem)" }
        if let proof = backup.proof {
            let age = max(0, Int64(now.timeIntervalSince1970) - proof.at.timestamp.milliseconds / 1000)
            words += ", proved at sequence \(proof.sequence) \(readable(seconds: age)) ago"
        } else {
            words += ", not proved yet"
        }
        if let problem = backup.proofProblem { words += ", the last proof failed: \(problem)" }
        return words
    }
}

extension ClaimsStoppedBody {
    var words: String { "stopped: \(detail)" }
}

struct TargetsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "targets", abstract: "What each app should run.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions

    func run() async throws {
        let list = try await server.client().targets(at: past.at)
        if server.json { return try Terminal.say(json: list) }
        past.say(list.sequence)
        Self.show(
            list.targets,
            emptyNote: past.at != nil ? "no targets then" : "no targets yet: drover deploy APP --build ID --reason TEXT"
        )
    }

    static func show(_ targets: [TargetBody], emptyNote: String = "") {
        var table = Table(["APP", "SCOPE", "REVISION", "BUILD", "PREVIOUS", "HEALTHY", "BY", "REASON"])
        for target in targets {
            let healthy = target.regions.map { UInt64($0.healthy) }.reduce(0, +)
            let selected = target.regions.map { UInt64($0.selected) }.reduce(0, +)
            table.add([
                "\(target.app)", "\(target.scope)", "\(target.revision)", "\(target.build)",
                target.previousBuild?.description ?? "", "\(healthy)/\(selected)", target.actor, target.reason,
            ])
        }
        table.show(emptyNote: emptyNote)
    }
}

struct RegionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "regions", abstract: "List regions; suspend, resume or remove one.",
        discussion: """
            Deployments do not wait for a suspended region; it copies what it lacks before it switches when it returns. \
            A removed one is forgotten.
            """)

    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("Deploy without this one until it is resumed.", valueName: "name")) var suspend:
        RegionName?
    @Option(help: ArgumentHelp("Deploy to this one again.", valueName: "name")) var resume: RegionName?
    @Option(help: ArgumentHelp("Forget this one and its copies.", valueName: "name")) var remove: RegionName?
    @Option(help: "Why: recorded, and needed for a change.") var reason: String?

    func run() async throws {
        let client = try server.client()
        let changes: [(RegionName?, GlobalClient.RegionChange)] = [
            (suspend, .suspend), (resume, .resume), (remove, .remove),
        ]
        for case (let name?, let change) in changes {
            guard let reason else {
                throw CommandStop(.refused, "drover: say why: --\(change.rawValue) \(name) --reason TEXT")
            }
            _ = try await client.changeRegion(name, change, reason: reason)
        }
        let list = try await client.regions()
        if server.json { return try Terminal.say(json: list) }
        var table = Table(["REGION", "STATUS", "STORE", "APPS", "ENDPOINT"])
        for region in list.regions {
            let apps = region.levels.map { "\($0.app) \($0.healthy)/\($0.selected) at \($0.revision)" }
            let store = region.store.map { "\($0.percent) % full" } ?? ""
            table.add(["\(region.name)", region.status.rawValue, store, apps.joined(separator: ", "), region.endpoint])
        }
        table.show(emptyNote: "no regions yet: projector region --name NAME --control URL")
    }
}

struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "List workers; drain or resume one.")

    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("Give this one no more jobs.", valueName: "name")) var drain: String?
    @Option(help: ArgumentHelp("Give this one jobs again.", valueName: "name")) var resume: String?

    func run() async throws {
        let client = try server.client()
        for (text, isDraining) in [(drain, true), (resume, false)] {
            guard let text else { continue }
            guard let name = WorkerName(rawValue: text) else {
                throw CommandStop(.refused, "drover: \"\(text)\" is no worker's name: drover workers lists them")
            }
            _ = try await client.setDraining(name, isDraining)
        }
        let list = try await client.workers()
        if server.json { return try Terminal.say(json: list) }
        var table = Table(["WORKER", "REGION", "STATE", "JOB"])
        for worker in list.workers {
            table.add(["\(worker.name)", "\(worker.region)", Self.state(worker), worker.job?.description ?? ""])
        }
        table.show(emptyNote: "no workers yet: projector worker --name NAME --region REGION --control URL")
    }

    static func state(_ worker: WorkerBody) -> String {
        if worker.isDraining { return "draining" }
        return worker.job != nil ? "building" : worker.waitingSince != nil ? "waiting" : "idle"
    }
}

struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "List the peers of all regions, or of one.",
        discussion: "As of a moment of the global log (--at) each region answers as it was when it knew no more of it.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions
    @Option(help: "Only this region's.") var region: RegionName?

    func run() async throws {
        let client = try server.client()
        let known = try await client.regions(at: past.at)
        past.say(known.sequence)
        let moment = past.at.map { _ in LogMoment.sequence(known.sequence) }
        let regions = known.regions.filter { region == nil || $0.name == region }
        if let region, regions.isEmpty {
            throw CommandStop(.refused, "drover: there is no region \(region): drover regions lists them")
        }
        var lists: [PeerList] = []
        for region in regions where region.status != .removed {
            do throws(ClientFailure) {
                lists.append(try await client.peers(of: region.name, at: moment))
            } catch {
                Terminal.complain("region \(region.name) does not answer: \(error)")
            }
        }
        if server.json {
            for peer in lists.flatMap(\.peers) { try Terminal.say(json: peer) }
            return
        }
        var table = Table(["PEER", "REGION", "STATUS", "APP", "BUILD", "REVISION", "HEALTH", "DETAIL"])
        for peer in lists.flatMap(\.peers) {
            if peer.apps.isEmpty { table.add(["\(peer.name)", "\(peer.region)", peer.status, "", "", "", "", ""]) }
            for (app, report) in peer.apps.sorted(by: { $0.key < $1.key }) {
                table.add([
                    "\(peer.name)", "\(peer.region)", peer.status, "\(app)", report.build?.description ?? "",
                    "\(report.revision)", report.health.rawValue, report.detail,
                ])
            }
        }
        table.show(
            emptyNote: past.at != nil
                ? "no peers then" : "no peers yet: projector peer --name NAME --control REGION-URL")
    }
}
