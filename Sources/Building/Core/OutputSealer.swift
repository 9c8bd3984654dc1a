/// A numbered piece of an attempt's output, as it is stored and followed.
package struct SealedOutput: Hashable, Sendable {
    /// From 0, without a gap.
    package var number: UInt64
    package var bytes: [UInt8]

    package init(number: UInt64, bytes: [UInt8]) { (self.number, self.bytes) = (number, bytes) }
}

/// Cuts a stream of output into numbered objects: sealed when full, or when their first byte is old enough.
package struct OutputSealer: Hashable, Sendable {
    package let maximumBytes: Int
    package let maximumAgeMilliseconds: Int64
    private var open: [UInt8] = []
    private var openedAt: Int64 = 0
    private var nextNumber: UInt64 = 0

    package init(maximumBytes: Int = 1 << 20, maximumAgeMilliseconds: Int64 = 1000) {
        (self.maximumBytes, self.maximumAgeMilliseconds) = (maximumBytes, maximumAgeMilliseconds)
    }

    /// When `tick` would seal; nil while nothing is open.
    package var deadline: Int64? { open.isEmpty ? nil : openedAt + maximumAgeMilliseconds }

    /// Takes a chunk and returns what it filled.
    package mutating func append(_ chunk: [UInt8], now: Int64) -> [SealedOutput] {
        var sealed: [SealedOutput] = []
        var rest = chunk[...]
        while !rest.isEmpty {
            if open.isEmpty { openedAt = now }
            let part = rest.prefix(maximumBytes - open.count)
            open.append(contentsOf: part)
            rest = rest.dropFirst(part.count)
            if open.count == maximumBytes, let piece = seal() { sealed.append(piece) }
        }
        return sealed
    }

    /// Seals what is old enough.
    package mutating func tick(now: Int64) -> SealedOutput? {
        guard let deadline, deadline <= now else { return nil }
        return seal()
    }

    /// Seals what is left at the end.
    package mutating func finish() -> SealedOutput? { seal() }

    private mutating func seal() -> SealedOutput? {
        guard !open.isEmpty else { return nil }
        defer {
            open = []
            nextNumber += 1
        }
        return SealedOutput(number: nextNumber, bytes: open)
    }
}
