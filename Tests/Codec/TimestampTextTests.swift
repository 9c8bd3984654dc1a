import Domain
import Foundation
import Testing

struct TimestampTextTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"), (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (-62_162_035_200_001, "0000-02-29T23:59:59.999Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"), (.max, "+292278994-08-17T07:12:55.807Z"),
            (.min, "-292275055-05-16T16:47:04.192Z"), (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
        ] as [(Int64, String)])
    func edges(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == text)
        #expect(Timestamp(rfc3339: text) == Timestamp(milliseconds: milliseconds))
    }

    @Test(arguments: [
        ("2026-01-01T01:30:00+01:30", "2026-01-01T00:00:00.000Z"),
        ("2025-12-31T16:00:00-08:00", "2026-01-01T00:00:00.000Z"),
        ("2026-01-01t00:00:00z", "2026-01-01T00:00:00.000Z"), ("2026-01-01 00:00:00.5Z", "2026-01-01T00:00:00.500Z"),
        ("2026-01-01T00:00:00.1239999Z", "2026-01-01T00:00:00.123Z"),
        ("2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000Z"),
    ])
    func otherSpellings(text: String, meaning: String) { #expect(Timestamp(rfc3339: text)?.rfc3339 == meaning) }

    @Test(arguments: [
        "", "2026", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+24:00",
        "26-01-01T00:00:00Z", "+2026-01-01T00:00:00Z", "+0002026-01-01T00:00:00", "-292275055-05-16T16:47:04.191Z",
        "+292278994-08-17T07:12:55.808Z", "+999999999-12-31T00:00:00Z", "２026-01-01T00:00:00Z", " 2026-01-01T00:00:00Z",
    ])
    func notTimes(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    /// Days of 800 years against the calendar of Foundation (Gregorian from 1582-10-15 on), and any moment there and
    /// back.
    @Test func agreesWithFoundation() {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for day in stride(from: -141_427, through: 146_097, by: 13) {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            let parts = calendar.dateComponents([.year, .month, .day], from: date)
            let text = Timestamp(milliseconds: Int64(day) * 86_400_000).rfc3339
            #expect(text.hasPrefix(padded(parts.year, 4) + "-" + padded(parts.month, 2) + "-" + padded(parts.day, 2)))
        }
        var numbers = SeededNumbers(seed: 3)
        for _ in 0..<10_000 {
            let time = Timestamp(milliseconds: Int64(bitPattern: numbers.next()) >> Int64(numbers.next() % 40))
            #expect(Timestamp(rfc3339: time.rfc3339) == time)
        }
    }

    private func padded(_ number: Int?, _ width: Int) -> String {
        let text = String(number ?? 0)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
