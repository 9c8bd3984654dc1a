import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import Testing
import Views
import Wire

@testable import Commands

/// A log out to a directory of segments and back, and what `verify` says of all its forms.
@Suite struct SegmentExportTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: scratch.inside(name)) }

    /// The recording as an engine's data directory.
    private func makeData(_ log: RecordedLog, _ name: String = "data") throws -> LogPosition {
        try FileManager.default.createDirectory(atPath: scratch.inside(name), withIntermediateDirectories: true)
        return try LogText.import(log.folder.appending(path: "log.ndjson").path, to: scratch.inside("\(name)/log"))
    }

    private var global: RecordedLog { RecordedLog(scenario: "first-deploy", name: RecordedLog.global) }

    @Test(arguments: Seeds.logs) func anImportIsTheSameLog(_ log: RecordedLog) async throws {
        let end = try makeData(log)
        let made = try await LogSegments.export(scratch.inside("data"), to: scratch.inside("out"))
        #expect(made.end == end && made.kind == (log.isGlobal ? .global : .regional))
        #expect(!exists("out.partial") && !exists("out/lock") && !exists("out/temporary"))
        let back = try await LogSegments.restore(scratch.inside("out"), to: scratch.inside("back"))
        #expect(back.end == end && back.kind == made.kind && back.passedOver.isEmpty)
        let copy = try EventLog.open(directory: scratch.inside("back/log"), mode: .readOnly)
        _ = try LogText.export(copy, to: scratch.inside("text"))
        #expect(try [UInt8](Data(contentsOf: URL(filePath: scratch.inside("text")))) == log.bytes())
        // Questions about the past are asked of it as of any other form.
        let count = try await LogPlace.with(scratch.inside("out")) {
            try await $0.query("SELECT count(*) FROM events", at: nil).rows
        }
        #expect(count == [[.integer(Int64(end.sequence.rawValue))]])
        // Every form of it is the same to `verify`.
        var hashes: Set<Digest?> = []
        for place in ["data/log", "out", "back/log", "text"] {
            let report = try await LogCheck.run(scratch.inside(place), log: nil)
            #expect(report.sound && report.chainHash == end.chain && report.sequence == end.sequence, "\(place)")
            hashes.insert(report.stateHash)
        }
        #expect(hashes.count == 1 && hashes.first != .some(nil))
    }

    @Test func nothingIsOverwritten() async throws {
        _ = try makeData(global)
        _ = try await LogSegments.export(scratch.inside("data"), to: scratch.inside("out"))
        for place in ["out", "data"] {
            await #expect(throws: CommandStop.self) {
                try await LogSegments.export(scratch.inside("data"), to: scratch.inside(place))
            }
            await #expect(throws: CommandStop.self) {
                try await LogSegments.restore(scratch.inside("out"), to: scratch.inside(place))
            }
        }
        #expect(try await LogCheck.run(scratch.inside("out"), log: nil).sound)
        #expect(!exists("out.partial") && !exists("data.partial"))
    }

    /// Every object of an export, flipped, cut and taken away: named, and nothing is made.
    @Test func aDamagedExportMakesNothing() async throws {
        _ = try makeData(global)
        _ = try await LogSegments.export(scratch.inside("data"), to: scratch.inside("out"))
        let objects =
            FileManager.default.enumerator(atPath: scratch.inside("out/named"))?
            .compactMap { $0 as? String }.filter { $0.contains(".blobs/") } ?? []
        #expect(objects.count == 2)
        for object in objects {
            let url = URL(filePath: scratch.inside("out/named/\(object)"))
            let whole = try Data(contentsOf: url)
            var flipped = whole
            flipped[whole.count / 2] ^= 4
            for damaged in [flipped, whole.dropLast(), nil] {
                try FileManager.default.removeItem(at: url)
                if let damaged { try Data(damaged).write(to: url) }
                await #expect(throws: (any Error).self) {
                    try await LogSegments.restore(scratch.inside("out"), to: scratch.inside("back"))
                }
                #expect(!exists("back") && !exists("back.partial"))
                #expect(try await !LogCheck.run(scratch.inside("out"), log: nil).sound)
                try? FileManager.default.removeItem(at: url)
                try whole.write(to: url)
            }
        }
        #expect(try await LogSegments.restore(scratch.inside("out"), to: scratch.inside("back")).passedOver.isEmpty)
    }

    /// The views of a data directory are compared with a fresh fold, row by row.
    @Test func verifySeesAChangedView() async throws {
        _ = try makeData(global)
        let log = try EventLog.open(directory: scratch.inside("data/log"), mode: .readOnly)
        let views = try Views<GlobalViews>.open(
            path: scratch.inside("data/views.sqlite"), codec: GlobalCodec(), logger: Logger(label: "test"))
        try await views.catchUp(from: log)
        views.close()
        #expect(try await LogCheck.run(scratch.inside("data/log"), log: nil).views == "equal")
        let url = URL(filePath: scratch.inside("data/views.sqlite"))
        var bytes = try Data(contentsOf: url)
        // The name of a worker, wherever it stands in a row.
        var places = 0
        while let place = bytes.range(of: Data("builder-1".utf8)) {
            bytes.replaceSubrange(place, with: Data("builder-2".utf8))
            places += 1
        }
        #expect(places > 0)
        try bytes.write(to: url)
        let report = try await LogCheck.run(scratch.inside("data/log"), log: nil)
        #expect(!report.sound && report.views != "equal", "\(report.message ?? "")")
    }

    /// A recorded state hash that the events do not amount to, and one that they do.
    @Test(arguments: [true, false]) func verifyComparesRecordedStates(isRight: Bool) async throws {
        let log = try EventLog.open(directory: scratch.inside("log"), mode: .create(identity: nil))
        var replay = Replay<Global>(of: log.identity, codec: GlobalCodec())
        let interval = StateHashing().intervalEvents
        while try log.head().sequence.rawValue < interval {
            let first = try log.head().sequence.rawValue + 1
            let frames = try (first..<first + 10_000).map { try frame($0, .engineStalled(milliseconds: 1)) }
            let end = try log.append(frames)
            try replay.take(FrameBatch(frames: frames, end: end))
        }
        let head = try log.head().sequence
        let digest = try isRight ? StateCodec.stateHash(replay.state) : .zero
        _ = try log.append([
            frame(
                head.rawValue + 1,
                .stateHashed(at: head, fingerprint: Global.reducerFingerprint, digest: digest))
        ])
        let report = try await LogCheck.run(scratch.inside("log"), log: nil)
        #expect(report.sound == isRight && (report.stateHashes == 1) == isRight, "\(report.message ?? "")")
    }

    private func frame(_ sequence: UInt64, _ fact: Domain.LogEvent) throws -> Frame {
        let event = try GlobalCodec().encode(.log(fact))
        return Frame(
            header: FrameHeader(
                epoch: .first, sequence: LogSequence(rawValue: sequence), time: Timestamp(milliseconds: 1),
                command: LogSequence(rawValue: sequence), actor: .system),
            type: event.type, schemaRevision: event.schemaRevision, payload: event.payload)
    }
}
