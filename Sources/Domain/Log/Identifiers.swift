/// An id that is a small number: ordered, dense and deterministic. As a dictionary key it encodes as its decimal text.
package protocol NumericIdentifier: RawRepresentable, Hashable, Comparable, Sendable, Codable, CodingKeyRepresentable,
    CustomStringConvertible, LosslessStringConvertible
where RawValue == UInt64 {
    init(rawValue: UInt64)
}

extension NumericIdentifier {
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    package var description: String { String(rawValue) }

    /// Nil unless the text is a plain decimal number.
    package init?(_ description: String) {
        guard let value = plainDecimal(description) else { return nil }
        self.init(rawValue: value)
    }

    package var codingKey: any CodingKey { TextCodingKey(text: description) }

    package init?(codingKey: some CodingKey) { self.init(codingKey.stringValue) }
}

/// A name people type: 1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit, never `..`, so that it is safe in a
/// path, a URL and a DNS label's neighbourhood.
package protocol NameIdentifier: RawRepresentable, Hashable, Comparable, Sendable, Codable, CodingKeyRepresentable,
    CustomStringConvertible
where RawValue == String {
    init(unchecked rawValue: String)
}

package let maximumNameBytes = 63

extension NameIdentifier {
    package init?(rawValue: String) {
        guard isPlainName(rawValue) else { return nil }
        self.init(unchecked: rawValue)
    }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// Dictionaries ask for this one; the standard library's of a text costs more than the rest of a look-up.
    package func _rawHashValue(seed: Int) -> Int {
        var hash = TableHash(seed: seed)
        hash.feed(rawValue)
        return Int(truncatingIfNeeded: hash.value)
    }

    package var description: String { rawValue }

    package var codingKey: any CodingKey { TextCodingKey(text: rawValue) }

    package init?(codingKey: some CodingKey) { self.init(rawValue: codingKey.stringValue) }
}

/// Whether a text is 1 to 63 of `a-z 0-9 . _ -`, starting with a letter or digit, without `..`.
package func isPlainName(_ text: String) -> Bool { isPlainName(text.utf8Span.span) }

/// The same of its bytes.
package func isPlainName(_ bytes: borrowing Span<UInt8>) -> Bool {
    guard !bytes.isEmpty, bytes.count <= maximumNameBytes, isNameStart(bytes[0]) else { return false }
    var last = UInt8(0)
    for index in bytes.indices {
        let byte = bytes[index]
        guard isNameStart(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
        else { return false }
        if byte == UInt8(ascii: "."), last == UInt8(ascii: ".") { return false }
        last = byte
    }
    return true
}

private func isNameStart(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}

/// The number a text of 1 to 20 decimal digits names; nil for signs, spaces and overflow.
package func plainDecimal(_ text: some StringProtocol) -> UInt64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
    }
    return UInt64(text)
}

/// The next number; the last one stays, so that no number from outside traps.
func following(_ number: UInt64) -> UInt64 { number == .max ? .max : number + 1 }

/// A dictionary key as text, for ids that are keys of encoded states.
package struct TextCodingKey: CodingKey {
    package let stringValue: String
    package var intValue: Int? { nil }

    package init(text: String) { stringValue = text }
    package init?(stringValue: String) { self.stringValue = stringValue }
    package init?(intValue: Int) { nil }
}

/// What is built and deployed under one name.
package struct AppName: NameIdentifier {
    package let rawValue: String
    package init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// A cluster with its own blob store, target store, tracker and peers.
package struct RegionName: NameIdentifier {
    package let rawValue: String
    package init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// A machine that builds.
package struct WorkerName: NameIdentifier {
    package let rawValue: String
    package init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// A machine of the fleet.
package struct PeerName: NameIdentifier {
    package let rawValue: String
    package init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// The count of jobs enqueued so far: the first is 1, so first-in-first-out order is id order.
package struct JobID: NumericIdentifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// One worker's go at a job; the fencing token of every later call about it. The first is 1.
package struct AttemptNumber: NumericIdentifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let first = AttemptNumber(rawValue: 1)
    package var next: AttemptNumber { AttemptNumber(rawValue: following(rawValue)) }
}

/// What a succeeded job produced: it has the job's id.
package typealias BuildID = JobID
