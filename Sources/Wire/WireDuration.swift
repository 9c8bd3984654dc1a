internal import Domain

/// A length of time as a person writes it: `500ms`, `10s`, `3m`, `2h`; a bare number is seconds.
package struct WireDuration: Hashable, Sendable, CustomStringConvertible {
    package var milliseconds: Int64

    /// Longer ones are refused: 366 days.
    package static let maximumMilliseconds: Int64 = 366 * 24 * 3600 * 1000

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func seconds(_ count: Int64) -> WireDuration { WireDuration(milliseconds: count * 1000) }

    /// Nil unless the text is a whole number with a unit, at most 366 days.
    package init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = plainDecimal(digits), let factor = Self.factor(text.dropFirst(digits.count)) else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow, product <= UInt64(Self.maximumMilliseconds) else { return nil }
        milliseconds = Int64(product)
    }

    private static func factor(_ unit: Substring) -> UInt64? {
        switch unit {
        case "ms": 1
        case "", "s": 1000
        case "m": 60_000
        case "h": 3_600_000
        default: nil
        }
    }

    /// In the greatest unit that divides it: `90s`, `2m`, `1500ms`.
    package var description: String {
        if milliseconds % 1000 != 0 { return "\(milliseconds)ms" }
        let seconds = milliseconds / 1000
        if seconds % 60 != 0 || seconds == 0 { return "\(seconds)s" }
        return seconds % 3600 == 0 ? "\(seconds / 3600)h" : "\(seconds / 60)m"
    }
}
