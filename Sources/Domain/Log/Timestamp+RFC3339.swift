/// Times as text: RFC 3339 in UTC with milliseconds, as in `2026-01-01T00:00:00.000Z`.
///
/// Years that RFC 3339 has not (before 0 and after 9999) are written as ISO 8601 expands them, with a sign and at least
/// six digits, so that every moment of log time has a text and comes back from it.
extension Timestamp {
    package var rfc3339: String {
        let (day, time) = milliseconds.flooredDivision(by: millisecondsPerDay)
        let date = CivilDate(daysSince1970: day)
        var text: [UInt8] = []
        text.reserveCapacity(24)
        text.append(year: date.year)
        text.append(UInt8(ascii: "-"), digits: date.month, width: 2)
        text.append(UInt8(ascii: "-"), digits: date.day, width: 2)
        text.append(UInt8(ascii: "T"), digits: time / 3_600_000, width: 2)
        text.append(UInt8(ascii: ":"), digits: time / 60_000 % 60, width: 2)
        text.append(UInt8(ascii: ":"), digits: time / 1000 % 60, width: 2)
        text.append(UInt8(ascii: "."), digits: time % 1000, width: 3)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil unless the text is a date, a time to the second or finer, and an offset or `Z`. What is finer than a
    /// millisecond is dropped. Leap seconds are not times here: log time has none.
    package init?(rfc3339 text: some StringProtocol) {
        var reader = TimeReader(rest: Array(text.utf8)[...])
        guard let date = reader.date(), reader.skip("Tt "), let time = reader.timeOfDay(),
            let offset = reader.offset(), reader.rest.isEmpty
        else { return nil }
        let total = Int128(date.daysSince1970) * Int128(millisecondsPerDay) + Int128(time - offset)
        guard let milliseconds = Int64(exactly: total) else { return nil }
        self.init(milliseconds: milliseconds)
    }
}

private let millisecondsPerDay: Int64 = 86_400_000

/// A day of the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last; 400 of them always have 146,097 days.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
private struct CivilDate {
    var year: Int64
    var month: Int64
    var day: Int64

    private static let daysPerEra: Int64 = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let daysTo1970: Int64 = 719_468

    init(year: Int64, month: Int64, day: Int64) { (self.year, self.month, self.day) = (year, month, day) }

    init(daysSince1970: Int64) {
        let (era, day) = (daysSince1970 + Self.daysTo1970).flooredDivision(by: Self.daysPerEra)
        let yearOfEra = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    }

    var daysSince1970: Int64 {
        let (era, yearOfEra) = (month <= 2 ? year - 1 : year).flooredDivision(by: 400)
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * Self.daysPerEra + dayOfEra - Self.daysTo1970
    }

    /// Whether the month has the day.
    var isReal: Bool {
        guard (1...12).contains(month), day >= 1 else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return day <= lengths[Int(month) - 1]
    }
}

/// Takes a time's parts from the front of a text.
private struct TimeReader {
    var rest: ArraySlice<UInt8>

    /// At most nine digits of a year: more than log time has.
    private static let maximumYearDigits = 9

    mutating func date() -> CivilDate? {
        guard let year = year(), skip("-"), let month = digits(2), skip("-"), let day = digits(2) else { return nil }
        let date = CivilDate(year: year, month: month, day: day)
        return date.isReal ? date : nil
    }

    /// Milliseconds since midnight.
    mutating func timeOfDay() -> Int64? {
        guard let hour = digits(2), hour < 24, skip(":"), let minute = digits(2), minute < 60, skip(":"),
            let second = digits(2), second < 60
        else { return nil }
        guard let fraction = fraction() else { return nil }
        return ((hour * 60 + minute) * 60 + second) * 1000 + fraction
    }

    /// Milliseconds to take off for UTC.
    mutating func offset() -> Int64? {
        if skip("Zz") { return 0 }
        let isWest = rest.first == UInt8(ascii: "-")
        guard skip("+-"), let hours = digits(2), hours < 24, skip(":"), let minutes = digits(2), minutes < 60 else {
            return nil
        }
        return (isWest ? -1 : 1) * (hours * 60 + minutes) * 60_000
    }

    mutating func skip(_ alternatives: String) -> Bool {
        guard let first = rest.first, alternatives.utf8.contains(first) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func year() -> Int64? {
        guard let first = rest.first, first == UInt8(ascii: "+") || first == UInt8(ascii: "-") else { return digits(4) }
        rest.removeFirst()
        let count = rest.prefix { isDigit($0) }.count
        guard (6...Self.maximumYearDigits).contains(count), let year = digits(count) else { return nil }
        return first == UInt8(ascii: "-") ? -year : year
    }

    /// Zero where there is none; nil for a point without digits.
    private mutating func fraction() -> Int64? {
        guard skip(".") else { return 0 }
        let count = rest.prefix { isDigit($0) }.count
        guard count > 0 else { return nil }
        var value: Int64 = 0
        for place in 0..<3 {
            value = value * 10 + (place < count ? Int64(rest[rest.startIndex + place] - UInt8(ascii: "0")) : 0)
        }
        rest.removeFirst(count)
        return value
    }

    private mutating func digits(_ count: Int) -> Int64? {
        guard rest.count >= count, rest.prefix(count).allSatisfy({ isDigit($0) }) else { return nil }
        let value = rest.prefix(count).reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        rest.removeFirst(count)
        return value
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension Int64 {
    /// The quotient rounded down, and the remainder that is never negative.
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ separator: UInt8, digits value: Int64, width: Int) {
        append(separator)
        append(digits: value, width: width)
    }

    fileprivate mutating func append(year: Int64) {
        if (0...9999).contains(year) { return append(digits: year, width: 4) }
        append(UInt8(ascii: year < 0 ? "-" : "+"))
        append(digits: abs(year), width: 6)
    }

    private mutating func append(digits value: Int64, width: Int) {
        let text = String(value).utf8
        for _ in text.count..<Swift.max(text.count, width) { append(UInt8(ascii: "0")) }
        append(contentsOf: text)
    }
}
