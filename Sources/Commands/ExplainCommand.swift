import ArgumentParser
import Domain

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Tell the story of a job, a deployment or a peer, event by event.",
        discussion: """
            Each line is an event: its sequence, its time, the state that it caused (if it caused one), and what \
            happened. Signs of life are told only where a stage begins. A peer's story is in its region's log: the region is \
            asked, or --log names its log. --json prints one object a line.

            \(LogPlace.help)
            """)

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case job, deployment, peer
    }

    @Option(help: ArgumentHelp("Which log; the running system's if not given.", valueName: "log")) var log = "."
    @Flag(help: "Print JSON, one object an event.") var json = false
    @Argument(help: "What to explain: job, deployment or peer.") var kind: Kind
    @Argument(help: "Its id, as in 42 or 1.7, or its name.") var id: String

    func run() async throws {
        let subject = try subject()
        let lines = try await lines(of: subject)
        if json {
            for line in lines { try Terminal.say(json: line) }
            return
        }
        var table = Table(["SEQUENCE", "TIME", "STATE", "WHAT HAPPENED"])
        for line in lines { table.add(["\(line.sequence)", line.time, line.state ?? "", line.words]) }
        table.show(emptyNote: "nothing happened to it yet")
    }

    private func lines(of subject: Story.Subject) async throws -> [Story.Line] {
        try await LogPlace.with(log) { log in
            if case .peer(let name) = subject, let running = log as? RunningLog {
                return try await running.lines(ofPeer: name)
            }
            return try await Story(log: log).lines(of: subject)
        }
    }

    private func subject() throws -> Story.Subject {
        switch kind {
        case .job:
            guard let job = JobID(argument: id) else {
                throw CommandStop(.refused, "drover: \"\(id)\" is no job's id: write a number such as 42")
            }
            return .job(job)
        case .deployment:
            guard let revision = Revision(id) else {
                throw CommandStop(.refused, "drover: \"\(id)\" is no deployment's id: write one such as 1.7")
            }
            return .deployment(revision)
        case .peer:
            guard let name = PeerName(rawValue: id) else {
                throw CommandStop(.refused, "drover: \"\(id)\" is no peer's name: drover peers lists them")
            }
            return .peer(name)
        }
    }
}
