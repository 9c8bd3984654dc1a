import Foundation
import Glibc

/// PostgreSQL with its default durability: a claim is one statement with `FOR UPDATE SKIP LOCKED`, prepared, by pgbench.
final class PostgresContender: Contender {
    static let systemName = "PostgreSQL 15"
    let name = PostgresContender.systemName
    private static let programs = "/usr/lib/postgresql/15/bin/"
    private var directory = ""
    private var port = 0
    private var server: ServerProcess?

    private static let tables = """
        CREATE TABLE jobs (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status smallint NOT NULL DEFAULT 0,
          worker text, attempt integer NOT NULL DEFAULT 0, claimed_at timestamptz, payload text NOT NULL);
        CREATE INDEX jobs_waiting ON jobs (id) WHERE status = 0;
        """
    private static let claim = """
        UPDATE jobs SET status = 1, worker = 'w' || :client_id, attempt = attempt + 1, claimed_at = now()
        WHERE id = (SELECT id FROM jobs WHERE status = 0 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1)
        RETURNING id, attempt, payload;
        """

    func prepare(in directory: String, jobs: Int) async throws {
        self.directory = directory
        port = try await FreePorts.take(1)[0]
        guard FileManager.default.isExecutableFile(atPath: Self.programs + "initdb") else {
            throw BenchmarkFailure("PostgreSQL 15 is missing: apt-get install postgresql-15")
        }
        if getuid() == 0 { _ = try await output(of: "/usr/bin/chown", ["postgres", directory], in: "/") }
        let data = ["-D", directory + "/data", "-A", "trust", "-U", "postgres", "--no-sync"]
        try await run("initdb", data)
        try await start(slowedMicroseconds: 0)
        let fill = """
            INSERT INTO jobs (payload) SELECT repeat('x', 200) FROM generate_series(1, \(jobs));
            VACUUM ANALYZE jobs; CHECKPOINT;
            """
        for statement in [Self.tables, fill] {
            try await run("psql", connection + ["-v", "ON_ERROR_STOP=1", "-q"] + Self.commands(statement))
        }
        await stop()
        try Self.claim.write(toFile: directory + "/claim.sql", atomically: true, encoding: .utf8)
    }

    func start(slowedMicroseconds: Int) async throws {
        let server = ServerProcess(name: "postgres", directory: directory)
        self.server = server
        let (program, arguments) = Self.unprivileged(
            "postgres",
            [
                "-D", directory + "/data", "-p", "\(port)", "-k", directory, "-c", "listen_addresses=127.0.0.1",
                "-c", "max_connections=200",
            ])
        try await server.start(
            program, arguments, environment: try SlowFlush.environment(slowedMicroseconds), port: port)
        // It takes connections before it takes questions.
        let start = ContinuousClock.now
        while (try? await run("pg_isready", ["-h", "127.0.0.1", "-p", "\(port)", "-q"])) == nil {
            guard elapsed(since: start) < ServerProcess.readySeconds else {
                throw BenchmarkFailure("PostgreSQL does not become ready")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    func claim(workers: Int, seconds: Double) async throws -> LoadResult {
        let log = directory + "/latencies"
        let arguments = [
            "-n", "-M", "prepared", "-c", "\(workers)", "-j", "2", "-T", "\(Int(seconds.rounded(.up)))", "-l",
            "--log-prefix", log, "-f", directory + "/claim.sql",
        ]
        let text = try await run("pgbench", connection + arguments)
        guard let place = text.firstRange(of: "tps = "),
            let rate = Double(text[place.upperBound...].prefix { $0.isNumber || $0 == "." })
        else { throw BenchmarkFailure("pgbench does not say how fast it was: \(text.suffix(500))") }
        let latencies = try Self.latencies(in: directory)
        return LoadResult(latencies: latencies, seconds: Double(latencies.count) / rate)
    }

    func stop() async {
        // Fast shutdown: it disconnects whoever is there.
        await server?.stop(by: SIGINT)
        server = nil
    }

    private var connection: [String] { ["-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres"] }

    private static func commands(_ script: String) -> [String] {
        script.split(separator: ";").map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
            .flatMap { ["-c", $0] }
    }

    /// The third column of pgbench's log of transactions: microseconds. The log is used up.
    private static func latencies(in directory: String) throws -> [Double] {
        let files = try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasPrefix("latencies.") }
        return try files.flatMap { file in
            let path = "\(directory)/\(file)"
            defer { try? FileManager.default.removeItem(atPath: path) }
            return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ", maxSplits: 3)
                return fields.count > 2 ? Double(fields[2]).map { $0 / 1000 } : nil
            }
        }
    }

    @discardableResult
    private func run(_ program: String, _ arguments: [String]) async throws -> String {
        let (program, arguments) = Self.unprivileged(program, arguments)
        return try await output(of: program, arguments, in: directory)
    }

    /// PostgreSQL does not run as root. The change of user must not let it outlive us.
    private static func unprivileged(_ program: String, _ arguments: [String]) -> (String, [String]) {
        let program = programs + program
        guard getuid() == 0 else { return (program, arguments) }
        let user = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
        return ("/usr/bin/setpriv", user + [program] + arguments)
    }
}
