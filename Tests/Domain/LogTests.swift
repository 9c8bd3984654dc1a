import Domain
import Testing

@Suite struct DigestTests {
    @Test func textAndBytesRoundTrip() throws {
        let bytes = (0..<32).map { UInt8($0 * 7) }
        let digest = try #require(Digest(bytes: bytes))
        #expect(digest.bytes == bytes)
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(hex: digest.hex.uppercased()) == digest)
    }

    @Test(arguments: ["", "00", String(repeating: "0", count: 63), String(repeating: "g", count: 64)])
    func refusesOtherTexts(_ text: String) {
        #expect(Digest(hex: text) == nil)
    }
}

@Suite struct NameTests {
    @Test(arguments: ["web", "a", "web-1.2_x", String(repeating: "a", count: 63)])
    func accepts(_ text: String) { #expect(AppName(rawValue: text)?.rawValue == text) }

    @Test(arguments: [
        "", "Web", "-web", ".web", "we..b", "we/b", "../x", "wé", "a b", String(repeating: "a", count: 64),
    ])
    func refuses(_ text: String) { #expect(AppName(rawValue: text) == nil) }
}

@Suite struct NumberTests {
    @Test(arguments: ["0", "7", "18446744073709551615"])
    func accepts(_ text: String) { #expect(JobID(text)?.description == text) }

    @Test(arguments: ["", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "1e3"])
    func refuses(_ text: String) { #expect(JobID(text) == nil) }
}

@Suite struct MomentTests {
    @Test(arguments: ["0", "42", "2026-01-31T12:00:00.000Z"])
    func textRoundTrips(_ text: String) { #expect(LogMoment(text)?.description == text) }

    @Test func aTimeIsAsPreciseAsItIsWritten() {
        #expect(LogMoment("2026-01-31T12:00:00Z") == LogMoment("2026-01-31T13:00:00.000+01:00"))
    }

    @Test(arguments: ["", "-1", "now", "2026-01-31", "2026-01-31T12:00:00", "18446744073709551616"])
    func refuses(_ text: String) { #expect(LogMoment(text) == nil) }
}
