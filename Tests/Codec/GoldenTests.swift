import Codec
import Domain
import Foundation
import Testing

/// The bytes of fixed events as every version has written them, and the hashes of two fixed states.
///
/// A changed event means that logs already written can no longer be read; a changed state, that the reducers or the
/// states' form have changed. `DROVER_REWRITE=1` writes the file anew.
struct GoldenTests {
    private var file: URL { URL(filePath: #filePath).deletingLastPathComponent().appending(path: "golden.txt") }

    @Test func bytesAreAsTheyWere() throws {
        let text = try current()
        if ProcessInfo.processInfo.environment["DROVER_REWRITE"] == "1" {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let golden = try String(contentsOf: file, encoding: .utf8)
        for (line, (old, new)) in zip(golden.split(separator: "\n"), text.split(separator: "\n")).enumerated() {
            #expect(old == new, "line \(line + 1)")
        }
        #expect(golden == text)
    }

    @Test func goldenEventsAreOfEveryTypeAndComeBack() throws {
        var types: Set<UInt16> = []
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("state ")
        {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            let type = try #require(eventType(named: String(words[0])))
            let event = EncodedEvent(
                type: type, schemaRevision: try #require(UInt16(words[1])),
                payload: try #require(bytesFromHex(words[2])))
            #expect(try reencoded(event) == event)
            types.insert(type)
        }
        #expect(types == Set(knownEventTypes))
    }

    private func current() throws -> String {
        let events =
            try goldenGlobalEvents.map { try GlobalCodec().encode($0) }
            + goldenRegionEvents.map { try RegionalCodec().encode($0) }
        let lines = events.map {
            "\(eventTypeName($0.type) ?? "?") \($0.schemaRevision) \(hexadecimal($0.payload))"
        }
        let global = try StateCodec.stateHash(fold(Global.self, envelopes(goldenStory)))
        let region = try StateCodec.stateHash(fold(Regional.self, envelopes(goldenRegionEvents)))
        return (lines + ["state global \(global)", "state region \(region)"]).joined(separator: "\n") + "\n"
    }
}
