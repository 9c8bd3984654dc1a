import Domain

/// What a client asks in a loop, as soon as it has the answer to its last question.
enum CommandMix: String, CaseIterable {
    /// Jobs, each of a commit of its own.
    case enqueue
    /// A job, then a claim, then a heartbeat of the claimed attempt.
    case mixed = "enqueue+claim+heartbeat"
}

/// What a load of clients got done.
struct LoadResult: Sendable {
    var commands: Int
    var seconds: Double
    /// Of each command, ascending, in milliseconds.
    var latencies: [Double]

    init(latencies: [Double], seconds: Double) {
        (commands, self.seconds) = (latencies.count, seconds)
        self.latencies = latencies.sorted()
    }

    var rate: Double { Double(commands) / seconds }
}

/// Numbers that make every job of every client another one.
struct CommandNames {
    let client: Int
    private var count: Int

    /// `from`: how many were named before.
    init(client: Int, from count: Int = 0) { (self.client, self.count) = (client, count) }

    var worker: WorkerName { WorkerName(unchecked: "worker-\(client)") }

    /// A commit id, and an idempotency key of the length that our client sends (a UUID's).
    mutating func next() -> (commit: CommitID, key: String) {
        count += 1
        let digits = String(UInt64(client) << 32 | UInt64(count), radix: 16)
        let commit = String(repeating: "0", count: 40 - digits.count) + digits
        guard let id = CommitID(rawValue: commit) else { preconditionFailure("\(commit) is a commit id") }
        return (id, "00000000-0000-4000-8000-\(commit.suffix(12))")
    }

    /// A key alone: a claim has no commit.
    mutating func nextKey() -> String {
        count += 1
        let digits = String(UInt64(client) << 32 | UInt64(count), radix: 16)
        return "00000000-0000-4000-8000-" + String("000000000000".dropFirst(digits.utf8.count)) + digits.suffix(12)
    }
}

enum LoadWords {
    static let app = AppName(unchecked: "web")
    static let repository = "https://git.example.org/acme/web.git"
    static let region = RegionName(unchecked: "one")
}
