import Codec
import Commands
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Testing
import Views

/// One log of one format version, as that version wrote it. It is never written again: its digests stand here.
struct GoldenLog: Sendable, CustomTestStringConvertible {
    /// As in `1/global`.
    var name: String
    /// SHA-256 of `data.mdb`.
    var data: String
    /// SHA-256 of `log.ndjson`.
    var text: String
    /// The chain's hash at its end.
    var chain: String

    var testDescription: String { name }
    var isGlobal: Bool { name.hasSuffix("/\(RecordedLog.global)") }

    func bytes(_ file: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: Seeds.folder.appending(path: "golden/\(name)/\(file)")))
    }

    static let all = [
        GoldenLog(
            name: "1/global", data: "b24ea6985e645da92593aeef7dd53e2cbd82ed5c57a3f3a94527555799c98609",
            text: "1d0c0c3992dc23f947ae16c246c191b4abb4a8b6f39510c41dbd58bbfdea4b44",
            chain: "797a8155923e71e566b91ec0750ea144c2ce5cf1dd8d16b718fe71d513341a7b"),
        GoldenLog(
            name: "1/region-one", data: "4698abcb08b2fe834cf2b7fa3e8db2e43e1d921f8d9e95c06ad35bcdaf1593bb",
            text: "fefdc12f69172c92b8450246e5dfb5e82e126307e9cfa195dcd1f80e1a81e45e",
            chain: "50494fb5989a63fa78d701b52b7ebf8fb34e821081f57a903e93bb4d7f3a148c"),
    ]
}

/// Logs of every format version open for ever. Those of format 1 hold every type of event that it began with, every kind
/// of actor, keys and names at their limits, a new epoch, and an informative type that nobody knows.
@Suite struct GoldenLogTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// A reader makes a lock file beside the data, so it gets a copy.
    private func open(_ golden: GoldenLog) throws -> EventLog {
        try Data(golden.bytes("data.mdb")).write(to: URL(filePath: scratch.inside("data.mdb")))
        return try EventLog.open(directory: scratch.path, mode: .readOnly)
    }

    @Test func everyFolderHasItsDigests() {
        let folder = Seeds.folder.appending(path: "golden")
        let found = Seeds.names(in: folder).flatMap { format in
            Seeds.names(in: folder.appending(path: format)).map { "\(format)/\($0)" }
        }
        #expect(found == GoldenLog.all.map(\.name))
    }

    @Test(arguments: GoldenLog.all) func nobodyHasWrittenItAnew(_ golden: GoldenLog) throws {
        #expect(try StateCodec.hash(golden.bytes("data.mdb")).hex == golden.data)
        #expect(try StateCodec.hash(golden.bytes("log.ndjson")).hex == golden.text)
        // The check can fail: one byte more is another digest.
        #expect(try StateCodec.hash(golden.bytes("log.ndjson") + [0]).hex != golden.text)
    }

    @Test(arguments: GoldenLog.all) func itOpensAndIsSound(_ golden: GoldenLog) throws {
        let log = try open(golden)
        #expect(try log.head().chain.hex == golden.chain)
        let report = try log.verify()
        #expect(report.isSound && report.chain.hex == golden.chain)
    }

    @Test(arguments: GoldenLog.all) func itsExportIsTheSame(_ golden: GoldenLog) throws {
        let log = try open(golden)
        _ = try LogText.export(log, to: scratch.inside("out"))
        let text = try golden.bytes("log.ndjson")
        #expect(try [UInt8](Data(contentsOf: URL(filePath: scratch.inside("out")))) == text)
        #expect(try batches(text) == log.read(after: .zero, maximumFrames: .max))
    }

    @Test(arguments: GoldenLog.all) func itsTextMakesItAgain(_ golden: GoldenLog) throws {
        try Data(golden.bytes("log.ndjson")).write(to: URL(filePath: scratch.inside("log.ndjson")))
        let end = try LogText.import(scratch.inside("log.ndjson"), to: scratch.inside("log"))
        #expect(end.chain.hex == golden.chain)
        let log = try EventLog.open(directory: scratch.inside("log"), mode: .readOnly)
        #expect(try log.verify().isSound)
    }

    @Test(arguments: GoldenLog.all) func everyEventIsUnderstood(_ golden: GoldenLog) async throws {
        let recorded = try batches(golden.bytes("log.ndjson"))
        if golden.isGlobal {
            try await fold(recorded, GlobalKind.self)
        } else {
            try await fold(recorded, RegionalKind.self)
        }
    }

    /// Reducers and views take it all in, whatever sense it makes; the one unknown event is counted.
    private func fold<Kind: LogKind>(_ recorded: [FrameBatch], _ kind: Kind.Type) async throws {
        let end = try #require(recorded.last).end
        let replay = try kind.replay(recorded, of: end.log)
        #expect(replay.head == end)
        #expect(replay.unknownEvents == 1)
        let views = try kind.openViews(scratch.inside("views.sqlite"))
        defer { views.close() }
        try views.apply(recorded)
        let rows = try await views.query("SELECT count(*), max(sequence) FROM events").rows
        let count = Int64(recorded.flatMap(\.frames).count)
        #expect(rows == [[.integer(count), .integer(count)]])
        let unknown = try await views.query("SELECT sequence FROM events WHERE type = 'type-65535'").rows
        #expect(unknown == [[.integer(count)]])
    }

    /// What format 1 began with: a golden log of it that lacks one would prove less.
    @Test func formatOneHoldsEveryTypeItBeganWith() throws {
        let frames = try GoldenLog.all.filter { $0.name.hasPrefix("1/") }
            .flatMap { try batches($0.bytes("log.ndjson")) }.flatMap(\.frames)
        let first: [UInt16] =
            Array(1...6) + Array(101...111) + [201, 202] + Array(301...304) + Array(401...406) + Array(501...509)
            + [0x8001, 0xFFFF]
        #expect(Set(first).subtracting(frames.map(\.type)) == [])
        #expect(Set(frames.map(\.header.actor.kind)) == Set(EventActor.Kind.allCases))
        #expect(frames.contains { $0.header.key == "" } && frames.contains { $0.header.isDerived })
        #expect(Set(frames.map(\.header.epoch)).count == 2)
    }
}
