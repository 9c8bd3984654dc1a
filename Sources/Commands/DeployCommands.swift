import ArgumentParser
import Client
import Domain
import Foundation
import Wire

/// What a deploy and a rollback have in common.
struct DeployOptions: ParsableArguments {
    @Option(help: "Why: recorded, and shown to everybody who looks.") var reason: String
    @Option(help: ArgumentHelp("Only this region; all of them if not given.", valueName: "name")) var region:
        RegionName?

    @Option(
        name: .customLong("select"),
        help: ArgumentHelp("Only peers with this label; may be repeated.", valueName: "label=value"))
    var selectors: [String] = []

    @Flag(help: "Wait, recorded, until the build is replicated, instead of being refused.") var whenReplicated = false
    @Flag(help: "Done even where no live peer is selected.") var allowEmpty = false

    @Option(
        help: ArgumentHelp("Only if this is the target's revision now (0.0: none yet).", valueName: "revision"))
    var ifRevision: String?

    @Option(help: .hidden) var idempotencyKey: String?

    func request(_ app: AppName, build: BuildID?) throws -> DeployRequest {
        var labels: [String: String] = [:]
        for selector in selectors {
            let parts = selector.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw CommandStop(.refused, "drover: --select is \"\(selector)\": write LABEL=VALUE")
            }
            labels[parts[0]] = parts[1]
        }
        let expected = try ifRevision.map { text in
            guard let revision = Revision(text) else {
                throw CommandStop(.refused, "drover: --if-revision is \"\(text)\": write a revision such as 1.7")
            }
            return revision
        }
        return DeployRequest(
            app: app, build: build, scope: region.map(TargetScope.region) ?? .global,
            selector: PeerSelector(labels: labels), reason: reason, whenReplicated: whenReplicated,
            allowEmpty: allowEmpty, expected: expected)
    }

    /// Asks, and waits if told to.
    func deploy(_ request: DeployRequest, _ server: ServerOptions, _ waiting: WaitOptions) async throws {
        let client = try server.client()
        let deadline = try waiting.deadline()
        let answer = try await client.deploy(request, key: idempotencyKey)
        if !answer.skipped.isEmpty {
            Terminal.complain("skipped, not live: \(answer.skipped.map(\.rawValue).joined(separator: ", "))")
        }
        guard waiting.wait else {
            if server.json { return try Terminal.say(json: answer) }
            return Terminal.say(
                "deployment \(answer.deployment) is \(answer.status.rawValue): drover watch \(answer.deployment)")
        }
        try await DeploymentWait(client: client, id: answer.deployment, deadline: deadline, json: server.json).run()
    }
}

struct DeployCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy", abstract: "Make a build what an app runs.",
        discussion: "Refused (exit 2, not-replicated) until every live region has stored the build.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var waiting: WaitOptions
    @OptionGroup var options: DeployOptions
    @Argument(help: "The app's name.") var app: AppName
    @Option(help: ArgumentHelp("The build's id.", valueName: "id")) var build: BuildID

    func run() async throws {
        try await options.deploy(options.request(app, build: build), server, waiting)
    }
}

struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Go back to the build an app ran before: a new revision naming the old build.")

    @OptionGroup var server: ServerOptions
    @OptionGroup var waiting: WaitOptions
    @OptionGroup var options: DeployOptions
    @Argument(help: "The app's name.") var app: AppName
    @Option(help: ArgumentHelp("An older build than the previous one.", valueName: "id")) var build: BuildID?

    func run() async throws {
        try await options.deploy(options.request(app, build: build), server, waiting)
    }
}

/// Follows a deployment to its end.
struct DeploymentWait {
    let client: GlobalClient
    let id: Revision
    let deadline: ContinuousClock.Instant?
    /// The end as one JSON object.
    let json: Bool
    /// Every change as a JSON object of its own too.
    var saysChanges = false

    func run() async throws {
        let progress = ProgressLine()
        defer { progress.end() }
        let patience = PatientQuestions(deadline: deadline, progress: progress)
        Interruption.say("deployment \(id) goes on: drover watch \(id)")
        defer { Interruption.say("") }
        var told: DeploymentBody?
        while true {
            let body = try await patience.ask { try await client.deployment(id) }
            if !body.status.isOpen {
                progress.end()
                return try finish(body)
            }
            if saysChanges, told.map({ !body.saysTheSame(as: $0) }) ?? true { try Terminal.say(json: body) }
            told = body
            progress.show(Self.line(body))
            if isOver(deadline) {
                progress.end()
                throw CommandStop(
                    .stoppedWaiting, "stopped waiting; deployment \(id) is \(body.status.rawValue): drover watch \(id)")
            }
            // Its regions' numbers change without an event of its own, so the wait is short.
            _ = try await patience.ask {
                try await client.deployment(id, changedAfter: body.changed, wait: pollWait(deadline, atMost: 1000))
            }
        }
    }

    static func line(_ body: DeploymentBody) -> String {
        let healthy = body.regions.map { UInt64($0.healthy) }.reduce(0, +)
        let selected = body.regions.map { UInt64($0.selected) }.reduce(0, +)
        let regions = body.regions.map {
            "\($0.region) \($0.healthy)/\($0.selected)\($0.failed > 0 ? " \($0.failed) failed" : "")"
        }
        return "\(body.app) -> build \(body.build) \(body.status.rawValue) \(ProgressLine.bar(healthy, of: selected)) "
            + regions.joined(separator: ", ")
    }

    private func finish(_ body: DeploymentBody) throws {
        if json { try Terminal.say(json: body) }
        let detail = body.detail.map { ": \($0)" } ?? ""
        switch body.status {
        case .succeeded:
            if !json { Terminal.say("deployment \(id) succeeded\(detail)") }
        case .superseded: throw CommandStop(.superseded, "deployment \(id) was superseded\(detail)")
        case .failed, .waiting, .running:
            throw CommandStop(.failed, "deployment \(id) failed\(detail)\nsee: drover peers, drover status")
        }
    }
}

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follow a deployment to its end, or an app's newest one.")

    @OptionGroup var server: ServerOptions
    @Option(help: ArgumentHelp("Stop watching after this long.", valueName: "seconds or 3m")) var timeout: String?
    @Argument(help: "A deployment such as 1.7, or an app's name.") var subject: String

    func run() async throws {
        let client = try server.client()
        var waiting = WaitOptions()
        (waiting.wait, waiting.timeout) = (true, timeout)
        let deadline = try waiting.deadline()
        let id: Revision
        if let revision = Revision(subject) {
            id = revision
        } else if let app = AppName(rawValue: subject) {
            guard let newest = try await client.deployments(app: app, limit: 1).deployments.first else {
                throw CommandStop(
                    .refused, "drover: \(app) was never deployed: drover deploy \(app) --build ID --reason TEXT")
            }
            id = newest.id
        } else {
            throw CommandStop(.refused, "drover: \"\(subject)\" is neither a deployment nor an app")
        }
        try await DeploymentWait(
            client: client, id: id, deadline: deadline, json: server.json, saysChanges: server.json
        ).run()
    }
}

extension DeploymentBody {
    /// Apart from the sequence at which it was asked.
    fileprivate func saysTheSame(as other: DeploymentBody) -> Bool {
        var other = other
        other.sequence = sequence
        return self == other
    }
}
