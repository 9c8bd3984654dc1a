import Codec
import Domain
import EventLog
import Foundation
import Ports
import Testing

@testable import Commands

/// A log out to a file and back.
@Suite struct ExportTests {
    private let scratch: Scratch
    private let log: RecordedLog

    init() throws {
        scratch = try Scratch()
        log = RecordedLog(scenario: "first-deploy", name: RecordedLog.global)
    }

    private var recording: String { log.folder.appending(path: "log.ndjson").path }

    private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: scratch.inside(name)) }

    private func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: URL(filePath: scratch.inside(name)))
        return scratch.inside(name)
    }

    @Test(arguments: Seeds.logs) func anImportExportsTheSameBytes(_ log: RecordedLog) throws {
        let end = try LogText.import(log.folder.appending(path: "log.ndjson").path, to: scratch.inside("log"))
        #expect(try end == RecordedEnd(log).end)
        let made = try EventLog.open(directory: scratch.inside("log"), mode: .readOnly)
        #expect(try made.verify().isSound && made.head() == end)
        #expect(try LogText.export(made, to: scratch.inside("out")) == end)
        #expect(try [UInt8](Data(contentsOf: URL(filePath: scratch.inside("out")))) == log.bytes())
        #expect(!exists("log.partial") && !exists("out.partial"))
    }

    @Test func nothingIsOverwritten() throws {
        _ = try LogText.import(recording, to: scratch.inside("log"))
        let made = try EventLog.open(directory: scratch.inside("log"), mode: .readOnly)
        let file = try write([1, 2, 3], "file")
        #expect(throws: (any Error).self) { try LogText.export(made, to: file) }
        #expect(throws: (any Error).self) { try LogText.import(recording, to: scratch.inside("log")) }
        #expect(throws: (any Error).self) { try LogText.import(recording, to: file) }
        #expect(try Data(contentsOf: URL(filePath: file)) == Data([1, 2, 3]))
        #expect(try made.verify().isSound)
        // What a killed export or import left behind is not taken for something else.
        _ = try write([], "cut.partial")
        #expect(throws: (any Error).self) { try LogText.export(made, to: scratch.inside("cut")) }
        #expect(exists("cut.partial") && !exists("cut"))
    }

    /// Damage anywhere makes no log at all, and the message names the line.
    @Test func aDamagedFileMakesNothing() throws {
        let whole = lines(try log.bytes())
        var swapped = whole
        swapped.swapAt(whole.count / 2, whole.count / 2 + 1)
        let damages = [
            ("swapped", swapped), ("cut", Array(whole.dropLast())), ("shortened", Array(whole.dropFirst())),
        ]
        for (name, damaged) in damages {
            let file = try write(text(damaged), name)
            #expect { try LogText.import(file, to: scratch.inside("log")) } throws: { error in
                (error as? CodecFailure)?.message.hasPrefix("line ") == true
            }
            #expect(!exists("log") && !exists("log.partial"), "\(name)")
        }
        #expect(throws: (any Error).self) { try LogText.import(scratch.inside("nowhere"), to: scratch.inside("log")) }
        #expect(throws: CodecFailure.self) { try LogText.import(try write([], "empty"), to: scratch.inside("log")) }
    }

    @Test func anEmptyLogHasNothingToExport() throws {
        let empty = try EventLog.open(directory: scratch.inside("empty"), mode: .create(identity: nil))
        #expect(throws: (any Error).self) { try LogText.export(empty, to: scratch.inside("out")) }
        #expect(!exists("out") && !exists("out.partial"))
    }
}
