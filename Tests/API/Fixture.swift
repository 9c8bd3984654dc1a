import API
import Codec
import Domain
import Engine
import EventLog
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Ports
import Serving
import Synchronization
import Testing
import Views
import Wire

/// A whole global process but its projectors: a log on disk, an engine, the SQL views, and what a region and a signer
/// would be.
final class Fixture: Sendable {
    let engine: EngineService<Global>
    let log: EventLog
    let views: Views<GlobalViews>
    let blobs = MemoryBlobs()
    let region = FixtureRegion()
    let readiness = FixtureReadiness()
    let api: GlobalAPI
    private let directory: String
    private let follower: Task<Void, Never>

    init(
        settings change: (inout APISettings) -> Void = { _ in }, newEpochReason: String? = nil,
        directory: String? = nil
    ) throws {
        let home = directory ?? "\(FileManager.default.temporaryDirectory.path)/drover-api-\(UUID().uuidString)"
        self.directory = home
        var logSettings = EventLog.Settings()
        logSettings.initialMapBytes = 16 << 20
        log = try EventLog.open(directory: home + "/log", mode: .create(identity: nil), settings: logSettings)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        engine = try EngineService(
            store: log, codec: GlobalCodec(), clock: SystemClock(),
            configuration: EngineConfiguration(version: "test", newEpochReason: newEpochReason), logger: logger)
        try FileManager.default.createDirectory(atPath: home + "/views", withIntermediateDirectories: true)
        let views = try Views<GlobalViews>.open(
            path: home + "/views/global.sqlite", codec: GlobalCodec(), logger: logger)
        self.views = views
        var settings = APISettings(version: "test", serving: ServingSettings(allowedHosts: ["drover.example"]))
        change(&settings)
        api = GlobalAPI(
            settings: settings,
            world: GlobalAPI.Dependencies(
                engine: engine, views: SQLReads(views), manifests: FixtureSigner(blobs: blobs), blobs: blobs,
                output: region, peers: region, readiness: readiness, metrics: MetricsRegistry()),
            logger: logger)
        follower = Task { [engine, log] in
            while !Task.isCancelled, engine.notReady?.code != .stopped {
                _ = try? await views.catchUp(from: log)
                guard let position = views.position else { continue }
                _ = await engine.waitForChange(after: position.sequence, timeoutMilliseconds: 1000)
            }
        }
    }

    /// Stops the engine and forgets the files, unless they are kept for the next process.
    func close(keepingFiles: Bool = false) async throws {
        engine.stop()
        try await engine.waitForEnd()
        follower.cancel()
        await follower.value
        views.close()
        if !keepingFiles { try FileManager.default.removeItem(atPath: directory) }
    }

    /// Runs a test against the routes, without a network.
    static func run(
        settings change: (inout APISettings) -> Void = { _ in },
        _ test: @Sendable (Fixture, any TestClientProtocol) async throws -> Void
    ) async throws {
        let fixture = try Fixture(settings: change)
        do {
            try await Application(router: fixture.api.router()).test(.router) { try await test(fixture, $0) }
        } catch {
            try? await fixture.close()
            throw error
        }
        try await fixture.close()
    }

    /// Submits what no test is about.
    @discardableResult
    func submit(_ command: GlobalCommand, actor: EventActor = .person("test")) async throws -> GlobalAnswer {
        switch try await engine.submit(command, actor: actor) {
        case .accepted(let answer, _): return answer
        case .refused(let refusal, _): throw refusal
        }
    }

    /// A region and a worker that has joined it.
    func joinWorker() async throws {
        try await submit(.fleet(.regionJoin(.eu, endpoint: "http://127.0.0.1:1")), actor: .region(.eu))
        try await submit(.fleet(.workerJoin(.one, .eu)), actor: .worker(.one))
    }

    /// A succeeded job, stored in its region.
    @discardableResult
    func build(_ app: AppName = .web) async throws -> BuildID {
        guard case .queue(.enqueued(let job, _)) = try await submit(.queue(.enqueue(.example(app, isForced: true)))),
            case .queue(.claimed(let claimed, let attempt, _, _, _)) = try await submit(.queue(.claim(.one))),
            claimed == job
        else { throw FixtureFailure() }
        let pack = UploadedPack(manifest: .example, region: .eu, rawBytes: 100, packedBytes: 50)
        try await submit(.queue(.reportUploaded(job, attempt, pack)))
        try await submit(.packStored(job, attempt, region: .eu, manifest: .example))
        return job
    }
}

struct FixtureFailure: Error {}

extension RegionName {
    static let eu = RegionName(unchecked: "eu")
    static let us = RegionName(unchecked: "us")
}

extension WorkerName {
    static let one = WorkerName(unchecked: "w1")
}

extension AppName {
    static let web = AppName(unchecked: "web")
    static let api = AppName(unchecked: "api")
}

extension Digest {
    static let example = Digest(words: 1, 2, 3, 4)
}

extension JobRequest {
    static func example(_ app: AppName = .web, isForced: Bool = false) -> JobRequest {
        guard let commit = CommitID(rawValue: String(repeating: "a", count: 40)) else { preconditionFailure() }
        return JobRequest(app: app, repository: "/srv/\(app)", commit: commit, isForced: isForced)
    }
}

/// Blobs in memory: the port's contract as far as these routes need it.
final class MemoryBlobs: BlobStore {
    private let blobs = Mutex<[BlobKey: [UInt8]]>([:])

    func set(_ key: BlobKey, _ bytes: [UInt8]) { blobs.withLock { $0[key] = bytes } }

    func information(_ key: BlobKey) async throws(BlobFailure) -> BlobInformation? {
        blobs.withLock { $0[key] }.map { BlobInformation(key: key, bytes: UInt64($0.count)) }
    }

    func put(
        _ key: BlobKey, bytes: UInt64, from chunks: any AsyncSequence<[UInt8], any Error> & Sendable
    ) async throws(BlobFailure) {
        throw BlobFailure(.io, "not used here")
    }

    func read(_ key: BlobKey, offset: UInt64, count: Int) async throws(BlobFailure) -> [UInt8] {
        guard let bytes = blobs.withLock({ $0[key] }) else { throw BlobFailure(.notFound, "no such blob") }
        return Array(bytes.dropFirst(Int(offset)).prefix(count))
    }

    func delete(_ key: BlobKey) async throws(BlobFailure) { blobs.withLock { $0[key] = nil } }

    func list(prefix: String, after: String?, limit: Int) async throws(BlobFailure) -> [BlobInformation] { [] }
}

/// Accepts manifests that name their app and job; their digest is made of their length.
struct FixtureSigner: ManifestSigner {
    let blobs: MemoryBlobs
    var publicKey: [UInt8] { Array(repeating: 7, count: 32) }

    func signature(over bytes: [UInt8]) throws -> [UInt8] { [7, UInt8(truncatingIfNeeded: bytes.count)] }

    func sign(_ upload: UnsignedUpload) async throws(Problem) -> Digest {
        guard upload.manifest.hasPrefix("\(upload.app) \(upload.job) \(upload.attempt)") else {
            throw Problem(.invalid, "the manifest is of another attempt")
        }
        let digest = Digest(words: UInt64(upload.manifest.utf8.count), upload.job.rawValue, 0, 9)
        blobs.set(.content(digest), Array("signed \(upload.manifest)".utf8))
        return digest
    }
}

/// What the global process asks of regions.
final class FixtureRegion: OutputReader, PeerDirectory {
    let asked = Mutex<[OutputPlace]>([])

    func output(_ place: OutputPlace, waitMilliseconds: Int64) async throws(Problem) -> [UInt8]? {
        asked.withLock { $0.append(place) }
        return place.object == 1 ? Array("hello\n".utf8) : nil
    }

    func peers(
        of region: RegionName, endpoint: String, at sequence: LogSequence?
    ) async throws(Problem) -> [UInt8] {
        guard region == .eu else { throw Problem(.unreachable, "region \(region) does not answer") }
        return Array(#"{"peers":[],"sequence":\#(sequence ?? .zero)}"#.utf8)
    }

    func events(of peer: PeerName, in region: RegionName, endpoint: String) async throws(Problem) -> [UInt8] {
        guard region == .eu else { throw Problem(.unreachable, "region \(region) does not answer") }
        return Array(#"{"events":["\#(peer)"],"truncated":false,"sequence":0}"#.utf8)
    }
}

final class FixtureReadiness: Readiness {
    let missing = Mutex<String?>(nil)
    var notReady: String? { get async { missing.withLock { $0 } } }
}

// MARK: Calls

/// An answer with its JSON.
struct Answer {
    var status: Int
    var headers: HTTPFields
    var body: Data

    var text: String { String(decoding: body, as: UTF8.self) }
    /// A problem document's code.
    var code: String? { (try? WireJSON.decode(Problem.self, from: body))?.code }

    func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try WireJSON.decode(type, from: body)
    }
}

extension TestClientProtocol {
    func call(
        _ method: HTTPRequest.Method, _ path: String, _ body: Data? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        var fields = HTTPFields()
        if method != .get { fields[.contentType] = "application/json" }
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { throw FixtureFailure() }
            fields[name] = value
        }
        let response = try await execute(
            uri: path, method: method, headers: fields, body: body.map { ByteBuffer(bytes: $0) })
        return Answer(
            status: response.status.code, headers: response.headers, body: Data(response.body.readableBytesView))
    }

    func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await call(.get, path, headers: headers)
    }

    func post(_ path: String, _ json: String = "{}", headers: [String: String] = [:]) async throws -> Answer {
        try await call(.post, path, Data(json.utf8), headers: headers)
    }

    func post(_ path: String, _ body: some WireRequest, headers: [String: String] = [:]) async throws -> Answer {
        try await call(.post, path, WireJSON.encode(body), headers: headers)
    }
}

let sequenceHeader: HTTPField.Name = {
    guard let name = HTTPField.Name("Drover-Sequence") else { preconditionFailure() }
    return name
}()
