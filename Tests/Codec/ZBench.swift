import Codec
import Domain
import Testing

struct ZBench {
    @Test(.enabled(if: true)) func speed() throws {
        let codec = GlobalCodec()
        for event in [goldenGlobalEvents[8], goldenGlobalEvents[9], goldenGlobalEvents[7], goldenGlobalEvents[21]] {
            let clock = ContinuousClock()
            let n = 200_000
            var sink = 0
            let e = try clock.measure { for _ in 0..<n { sink &+= try codec.encode(event).payload.count } }
            let bytes = try codec.encode(event)
            let d = try clock.measure {
                for _ in 0..<n {
                    if try codec.decode(type: bytes.type, schemaRevision: 1, payload: bytes.payload) != nil { sink += 1 }
                }
            }
            let frame = Frame(header: plainFrame().header, type: bytes.type, schemaRevision: 1, payload: bytes.payload)
            let w = clock.measure { for _ in 0..<(n / 10) { sink &+= NDJSON.line(frame).count } }
            let line = NDJSON.line(frame)
            let r = try clock.measure { for _ in 0..<(n / 10) { if case .event = try NDJSON.parse(line) { sink += 1 } } }
            print("BENCH", codec.typeName(bytes.type) ?? "", bytes.payload.count, "enc", e / n, "dec", d / n, "line", w / (n / 10), "parse", r / (n / 10), sink)
        }
    }
}
