import ArgumentParser
import Client
import Domain
import Foundation
import Wire

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jobs", abstract: "List jobs, newest first.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions

    @Option(help: "Only this app's.")
    var app: AppName?

    @Option(help: "Only those: queued, running, succeeded or failed.")
    var status: String?

    @Option(help: "At most so many.")
    var limit: Int = 30

    func run() async throws {
        let wanted = try status.map { text in
            guard let status = JobStatus(rawValue: text) else {
                throw CommandStop(
                    .refused, "drover: --status is \"\(text)\": it is queued, running, succeeded or failed")
            }
            return status
        }
        let client = try server.client()
        let list = try await client.jobs(app: app, status: wanted, limit: limit, at: past.at)
        if server.json { return try Terminal.say(json: list) }
        past.say(list.sequence)
        var table = Table(["JOB", "APP", "COMMIT", "STATUS", "STAGE", "WORKER", "CREATED"])
        for job in list.jobs {
            table.add([
                "\(job.id)", "\(job.app)", String(job.commit.rawValue.prefix(12)), job.status.rawValue,
                job.reason?.rawValue ?? job.stage?.rawValue ?? "", job.worker?.rawValue ?? "", job.createdAt.text,
            ])
        }
        table.show(
            emptyNote: past.at != nil
                ? "no jobs then" : "no jobs yet: drover build --repository REPO --commit SHA --app NAME")
        guard past.at == nil, list.jobs.contains(where: { $0.status == .queued }) else { return }
        if let stopped = try await client.status().claimsStopped { Terminal.complain("claims are \(stopped.words)") }
    }
}

struct JobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "job", abstract: "Show one job.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The job's id.") var id: JobID

    func run() async throws {
        let client = try server.client()
        let job =
            waiting.wait
            ? try await JobWait(client: client, job: id, deadline: waiting.deadline()).run()
            : try await client.job(id)
        if server.json { try Terminal.say(json: job) } else { show(job) }
        if waiting.wait { try JobWait.finish(job, quiet: true) }
    }

    private func show(_ job: JobBody) {
        let lines: [(String, String?)] = [
            ("job", "\(job.id)"), ("app", "\(job.app)"), ("status", Terminal.colored(job.status.rawValue)),
            ("reason", job.reason?.rawValue), ("detail", job.detail), ("repository", job.repository),
            ("commit", job.commit.rawValue), ("recipe", job.recipe), ("priority", "\(job.priority)"),
            ("attempt", job.attempt?.description), ("worker", job.worker?.rawValue), ("stage", job.stage?.rawValue),
            ("created", job.createdAt.text), ("started", job.startedAt?.text),
            ("last heartbeat", job.lastHeartbeat?.text), ("ended", job.endedAt?.text),
        ]
        for (name, value) in lines {
            if let value, !value.isEmpty {
                Terminal.say(name.padding(toLength: 16, withPad: " ", startingAt: 0) + value)
            }
        }
    }
}

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "cancel", abstract: "Cancel a job.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The job's id.") var id: JobID
    @Option(help: "Why.") var reason = "cancelled by hand"

    func run() async throws {
        let client = try server.client()
        let answer = try await client.cancel(id, reason: reason)
        if waiting.wait {
            let job = try await JobWait(client: client, job: id, deadline: waiting.deadline()).run()
            if server.json { return try Terminal.say(json: job) }
            return Terminal.say("job \(id) ended: \(job.reason?.rawValue ?? job.status.rawValue)")
        }
        if server.json { return try Terminal.say(json: answer) }
        Terminal.say("job \(id) is being cancelled: drover job \(id)")
    }
}

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Print a job's output.")

    @OptionGroup var server: ServerOptions
    @Argument(help: "The job's id.") var id: JobID
    @Option(help: "Which attempt; the latest if not given.") var attempt: UInt64?
    @Flag(name: [.short, .long], help: "Go on until the job ends.") var follow = false

    func run() async throws {
        let client = try server.client()
        var object: UInt64 = 0
        var current = attempt.map(AttemptNumber.init(rawValue:))
        while true {
            let job = try await client.job(id)
            if attempt == nil, let latest = job.attempt, latest != current {
                if current != nil { Terminal.complain("-- attempt \(latest) begins --") }
                (current, object) = (latest, 0)
            }
            let wait = follow && !job.status.hasEnded ? WireDuration(milliseconds: 2000) : nil
            if current != nil, let bytes = try await client.output(id, attempt: current, object: object, wait: wait) {
                Terminal.write(bytes)
                object += 1
            } else if job.status.hasEnded || !follow {
                return try await finish(job, isEmpty: object == 0, client)
            } else if current == nil {
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    private func finish(_ job: JobBody, isEmpty: Bool, _ client: GlobalClient) async throws {
        if isEmpty {
            let build = job.status == .succeeded ? try await client.build(id) : nil
            Terminal.complain(
                build?.retired != nil
                    ? "job \(id) has no output any more: it was removed with build \(id), which is retired"
                    : "job \(id) has no output yet: it is \(job.status.rawValue)")
        }
        if follow, let reason = job.reason { Terminal.complain("job \(id) failed (\(reason.rawValue))") }
    }
}

struct BuildsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "builds", abstract: "List builds, where their packs are and what keeps them, newest first.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var past: PastOptions
    @Option(help: "Only this app's.") var app: AppName?
    @Option(help: "At most so many.") var limit: Int = 30

    func run() async throws {
        let list = try await server.client().builds(app: app, limit: limit, at: past.at)
        if server.json { return try Terminal.say(json: list) }
        past.say(list.sequence)
        var table = Table(["BUILD", "COMMIT", "REPLICATION", "STORED IN", "SIZE", "PACKED", "BUILT", "RETENTION"])
        for build in list.builds {
            table.add([
                build.name, String(build.commit.rawValue.prefix(12)), build.replication.rawValue,
                build.stored.map(\.rawValue).joined(separator: ","), readable(bytes: build.rawBytes),
                readable(bytes: build.packedBytes), build.succeededAt.text,
                build.retentionWords(isPast: past.at != nil),
            ])
        }
        table.show(
            emptyNote: past.at != nil
                ? "no builds then" : "no builds yet: drover build --repository REPO --commit SHA --app NAME --wait")
    }
}
