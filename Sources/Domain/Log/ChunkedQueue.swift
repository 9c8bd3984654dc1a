internal import DequeModule

/// A queue of numbered elements. Growing moves none of them, and a copy that changes shares all chunks but its last.
struct ChunkedQueue<Element: Sendable>: Sendable {
    private static var chunkElements: UInt32 { 512 }

    /// Full ones, but the last. Of the first one, elements before `passed` are gone.
    private var chunks: Deque<[Element]> = []
    private var passed: UInt32 = 0
    private(set) var count = 0
    /// The number of the first chunk's first element; a multiple of `chunkElements`. Numbers begin anew after 2^32.
    private var base: UInt32 = 0

    var first: Element? { chunks.first.map { $0[Int(passed)] } }

    /// The element of a number that `append` gave and `removeFirst` did not return since.
    subscript(number: UInt32) -> Element {
        let offset = number &- base
        return chunks[Int(offset / Self.chunkElements)][Int(offset % Self.chunkElements)]
    }

    /// The element's number from here on.
    mutating func append(_ element: Element) -> UInt32 {
        if chunks.isEmpty || chunks[chunks.count - 1].count == Self.chunkElements {
            var chunk: [Element] = []
            chunk.reserveCapacity(Int(Self.chunkElements))
            chunks.append(chunk)
        }
        chunks[chunks.count - 1].append(element)
        count += 1
        return base &+ passed &+ UInt32(truncatingIfNeeded: count - 1)
    }

    /// Takes the oldest element out of a queue that is not empty, and returns its number.
    mutating func removeFirst() -> UInt32 {
        let number = base &+ passed
        passed += 1
        count -= 1
        if count == 0 || passed == Self.chunkElements {
            chunks.removeFirst()
            (base, passed) = (base &+ Self.chunkElements, 0)
        }
        return number
    }
}

extension ChunkedQueue: Sequence {
    func makeIterator() -> some IteratorProtocol<Element> {
        chunks.lazy.flatMap { $0 }.dropFirst(Int(passed)).makeIterator()
    }
}
