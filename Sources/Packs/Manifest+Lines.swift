internal import Domain
internal import Foundation

// The manifest's lines as JSON objects. A line is canonical: keys sorted, no spaces, `/` not escaped, and a line that
// does not read back to the very same bytes is refused. Environment variables are a sorted list of `NAME=value`.

struct FactsLine: Codable {
    var app: AppName
    var attempt: AttemptNumber
    var build: BuildID
    var commit: String
    var format: UInt64
    var kind = "pack"
    var pieceLength: UInt64
    var rawLength: UInt64
    var repository: String
    var run: RunLine
    var segmentLength: UInt64
    var zstdLevel: Int32
    var zstdVersion: String

    enum CodingKeys: String, CodingKey {
        case app, attempt, build, commit, format, kind, repository, run
        case pieceLength = "piece_length"
        case rawLength = "raw_length"
        case segmentLength = "segment_length"
        case zstdLevel = "zstd_level"
        case zstdVersion = "zstd_version"
    }
}

struct RunLine: Codable {
    var arguments: [String]
    var command: String?
    var environment: [String]
    var graceSeconds: UInt32
    var health: HealthLine
    var stopSignal: StopSignal

    enum CodingKeys: String, CodingKey {
        case arguments, command, environment, health
        case graceSeconds = "grace_seconds"
        case stopSignal = "stop_signal"
    }
}

struct HealthLine: Codable {
    var kind: String
    var arguments: [String]?
    var command: String?
    var path: String?
    var port: UInt16?
    var withinSeconds: UInt32

    enum CodingKeys: String, CodingKey {
        case kind, arguments, command, path, port
        case withinSeconds = "within_seconds"
    }
}

struct SegmentLine: Codable {
    var digest: Digest
    var kind = "segment"
    var offset: UInt64
    var packed: UInt64
    var raw: UInt64
}

struct PiecesLine: Codable {
    /// The hashes' hexadecimal digits, one after the other.
    var hashes: String
    var kind = "pieces"
}

struct EndLine: Codable {
    var buildCommand: String
    var builtAt: Timestamp
    var kind = "end"
    var packedLength: UInt64
    var rawDigest: Digest
    var recipe: Digest
    var region: RegionName
    var root: Digest
    var worker: WorkerName

    enum CodingKeys: String, CodingKey {
        case kind, recipe, region, root, worker
        case buildCommand = "build_command"
        case builtAt = "built_at"
        case packedLength = "packed_length"
        case rawDigest = "raw_digest"
    }
}

struct SignatureLine: Codable {
    var ed25519: String
    var key: String
    var kind = "signature"
}

/// Which line it is.
struct LineKind: Codable {
    var kind: String
}

enum CanonicalLine {
    static let newline = UInt8(ascii: "\n")

    /// The line with its newline.
    static func encode(_ line: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Lines are flat structs of texts and integers: encoding them cannot fail.
        guard let data = try? encoder.encode(line) else { preconditionFailure("a manifest line does not encode") }
        return Array(data) + [newline]
    }

    /// Reads a line (newline included) that `encode` made.
    static func decode<Line: Codable>(
        _ type: Line.Type, _ bytes: ArraySlice<UInt8>, number: Int
    ) throws(PackFailure) -> Line {
        guard let line = try? JSONDecoder().decode(Line.self, from: Data(bytes)), encode(line)[...] == bytes else {
            throw invalidManifest("line \(number) is not a canonical \(Line.self)")
        }
        return line
    }

    /// What kind of line it says it is.
    static func kind(_ bytes: ArraySlice<UInt8>) -> String {
        (try? JSONDecoder().decode(LineKind.self, from: Data(bytes)))?.kind ?? "unreadable"
    }
}

func invalidManifest(_ what: String) -> PackFailure {
    PackFailure(.invalidManifest, "the manifest is not valid: \(what); fetch it again from its region")
}

extension FactsLine {
    init(_ facts: PackFacts) {
        (app, build, attempt, commit) = (facts.app, facts.build, facts.attempt, facts.commit)
        (repository, rawLength, segmentLength) = (facts.repository, facts.rawLength, facts.segmentLength)
        (pieceLength, zstdVersion, zstdLevel) = (facts.pieceLength, facts.zstdVersion, facts.zstdLevel)
        (format, run) = (Manifest.formatVersion, RunLine(facts.run))
    }

    func facts() throws(PackFailure) -> PackFacts {
        PackFacts(
            app: app, build: build, attempt: attempt, commit: commit, repository: repository, rawLength: rawLength,
            segmentLength: segmentLength, pieceLength: pieceLength, zstdVersion: zstdVersion, zstdLevel: zstdLevel,
            run: try run.settings())
    }
}

extension RunLine {
    init(_ run: RunSettings) {
        (arguments, command, graceSeconds, stopSignal) = (run.arguments, run.command, run.graceSeconds, run.stopSignal)
        environment = run.environment.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
            .map { "\($0.key)=\($0.value)" }
        health = HealthLine(run.health)
    }

    func settings() throws(PackFailure) -> RunSettings {
        var variables: [String: String] = [:]
        for entry in environment {
            // Cut at the byte, not the character: a combining mark after `=` would hide it.
            guard let equals = entry.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                throw invalidManifest("an environment entry has no =")
            }
            let name = String(decoding: entry.utf8[..<equals], as: UTF8.self)
            let value = String(decoding: entry.utf8[entry.utf8.index(after: equals)...], as: UTF8.self)
            guard variables.updateValue(value, forKey: name) == nil else {
                throw invalidManifest("the environment sets \(name) twice")
            }
        }
        let settings = RunSettings(
            command: command, arguments: arguments, environment: variables, health: try health.check(),
            stopSignal: stopSignal, graceSeconds: graceSeconds)
        guard RunLine(settings).environment == environment else {
            throw invalidManifest("the environment is not sorted by name")
        }
        return settings
    }
}

extension HealthLine {
    init(_ health: HealthCheck) {
        withinSeconds = health.withinSeconds
        switch health {
        case .alive: kind = "alive"
        case .command(let command, let arguments, _):
            (kind, self.command, self.arguments) = ("command", command, arguments)
        case .http(let path, let port, _): (kind, self.path, self.port) = ("http", path, port)
        }
    }

    func check() throws(PackFailure) -> HealthCheck {
        switch (kind, command, arguments, path, port) {
        case ("alive", nil, nil, nil, nil): return .alive(seconds: withinSeconds)
        case ("command", let command?, let arguments?, nil, nil):
            return .command(command, arguments: arguments, withinSeconds: withinSeconds)
        case ("http", nil, nil, let path?, let port?):
            return .http(path: path, port: port, withinSeconds: withinSeconds)
        default: throw invalidManifest("its health check is of no known kind")
        }
    }
}
