import ArgumentParser
import Client
import Domain
import Foundation
import Wire

struct BuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Build one commit of one app.",
        discussion: "A repeat of a job that is queued, running or kept is answered with that job, unless forced.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var waiting: WaitOptions

    @Option(help: ArgumentHelp("A git repository, by path or URL.", valueName: "repository"))
    var repository: String

    @Option(help: ArgumentHelp("A full commit id; or a prefix, branch or tag, looked up now.", valueName: "commit"))
    var commit: String

    @Option(help: "The app's name.")
    var app: AppName

    @Option(help: ArgumentHelp("Where the recipe stands in the commit.", valueName: "path"))
    var recipe = "drover.yml"

    @Option(help: "Higher is sooner; -1000 to 1000.")
    var priority: Int32 = 0

    @Flag(help: "Build again, even if the same was built before.")
    var force = false

    @Option(help: .hidden)
    var idempotencyKey: String?

    func run() async throws {
        let client = try server.client()
        let deadline = try waiting.deadline()
        let place = repository.contains(":") ? repository : URL(filePath: repository).standardizedFileURL.path
        let request = JobRequest(
            app: app, repository: place, commit: try await CommitLookup(repository: place).commit(commit),
            recipePath: recipe, priority: priority, isForced: force)
        let answer = try await client.enqueue(request, key: idempotencyKey)
        if !waiting.wait {
            if server.json { return try Terminal.say(json: answer) }
            return Terminal.say(
                answer.reused
                    ? "job \(answer.job) builds the same already: drover job \(answer.job)"
                    : "job \(answer.job) is queued: drover logs -f \(answer.job)")
        }
        let job = try await JobWait(client: client, job: answer.job, deadline: deadline).run()
        if server.json { try Terminal.say(json: job) }
        try JobWait.finish(job, quiet: server.json)
    }
}

/// Follows a job to its end.
struct JobWait {
    let client: GlobalClient
    let job: JobID
    let deadline: ContinuousClock.Instant?

    func run() async throws -> JobBody {
        let progress = ProgressLine()
        defer { progress.end() }
        let patience = PatientQuestions(deadline: deadline, progress: progress)
        Interruption.say("job \(job) goes on: drover job \(job) --wait; to end it: drover cancel \(job)")
        defer { Interruption.say("") }
        var changed = LogSequence.zero
        while true {
            let after = changed
            let body = try await patience.ask {
                try await client.job(job, changedAfter: after, wait: pollWait(deadline, atMost: 2000))
            }
            if body.status.hasEnded { return body }
            progress.show(Self.line(body))
            if isOver(deadline) {
                progress.end()
                throw CommandStop(
                    .stoppedWaiting,
                    "stopped waiting; job \(job) is \(body.status.rawValue): drover job \(job) shows it")
            }
            changed = body.changed
        }
    }

    private static func line(_ job: JobBody) -> String {
        let stage = job.stage.map { " (\($0.rawValue))" } ?? ""
        let worker = job.worker.map { " on \($0)" } ?? ""
        return "job \(job.id) \(job.status.rawValue)\(stage)\(worker)"
    }

    /// Says how it ended, by words and by exit code.
    static func finish(_ job: JobBody, quiet: Bool) throws {
        switch job.status {
        case .succeeded:
            if !quiet { Terminal.say("build \(job.app)/\(job.id) succeeded") }
        case .failed:
            let reason = job.reason?.rawValue ?? "failed"
            let detail = job.detail.map { ": \($0)" } ?? ""
            throw CommandStop(
                job.reason == .cancelled ? .cancelled : .failed,
                "job \(job.id) failed (\(reason))\(detail)\nits output: drover logs \(job.id)")
        case .queued, .running: break
        }
    }
}
