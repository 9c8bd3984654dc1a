internal import DequeModule

/// A queue of named, numbered elements. Growing moves none of them, and a copy that changes shares all chunks but its
/// last. Names lie in their chunk's bytes: an element costs no memory of its own.
struct RecordQueue<Element: Sendable>: Sendable {
    private struct Record: Sendable {
        var element: Element
        var hash: UInt32
        /// Where the name's texts end among the chunk's bytes; they begin where the record before it ends.
        var actorEnd: UInt32
        var keyEnd: UInt32
        var actorKind: EventActor.Kind
    }

    private struct Chunk: Sendable {
        var records: [Record] = []
        var bytes: [UInt8] = []

        mutating func append(_ element: Element, _ name: CommandName, _ hash: UInt32) {
            bytes.append(contentsOf: name.actor.name.utf8)
            let actorEnd = UInt32(truncatingIfNeeded: bytes.count)
            bytes.append(contentsOf: name.key.utf8)
            records.append(
                Record(
                    element: element, hash: hash, actorEnd: actorEnd, keyEnd: UInt32(truncatingIfNeeded: bytes.count),
                    actorKind: name.actor.kind))
        }

        func name(_ place: Int) -> CommandName {
            let record = records[place]
            let start = place == 0 ? 0 : Int(records[place - 1].keyEnd)
            let actor = bytes[start..<Int(record.actorEnd)]
            return CommandName(
                actor: EventActor(kind: record.actorKind, name: String(decoding: actor, as: UTF8.self)),
                key: String(decoding: bytes[Int(record.actorEnd)..<Int(record.keyEnd)], as: UTF8.self))
        }
    }

    private static var chunkElements: UInt32 { 512 }

    /// Full ones, but the last. Of the first one, elements before `passed` are gone.
    private var chunks: Deque<Chunk> = []
    private var passed: UInt32 = 0
    private(set) var count = 0
    /// The number of the first chunk's first element; a multiple of `chunkElements`. Numbers begin anew after 2^32.
    private var base: UInt32 = 0

    /// Whether there is an oldest element, and it is as said.
    func isFirst(_ condition: (Element) -> Bool) -> Bool {
        count > 0 && condition(chunks[0].records[Int(passed)].element)
    }

    /// The element of a number that `append` gave and `removeFirst` did not return since.
    subscript(number: UInt32) -> Element {
        let (chunk, place) = place(of: number)
        return chunks[chunk].records[place].element
    }

    func isNamed(_ number: UInt32, _ name: CommandName) -> Bool {
        let (chunk, place) = place(of: number)
        return chunks[chunk].name(place) == name
    }

    private func place(of number: UInt32) -> (chunk: Int, place: Int) {
        let offset = number &- base
        return (Int(offset / Self.chunkElements), Int(offset % Self.chunkElements))
    }

    /// The element's number from here on.
    mutating func append(_ element: Element, name: CommandName, hash: UInt32) -> UInt32 {
        if chunks.isEmpty || chunks[chunks.count - 1].records.count == Self.chunkElements { addChunk() }
        chunks[chunks.count - 1].append(element, name, hash)
        count += 1
        return base &+ passed &+ UInt32(truncatingIfNeeded: count - 1)
    }

    private mutating func addChunk() {
        var chunk = Chunk()
        chunk.records.reserveCapacity(Int(Self.chunkElements))
        // As many bytes as the last one took: names are much alike.
        chunk.bytes.reserveCapacity(chunks.last?.bytes.count ?? 0)
        chunks.append(chunk)
    }

    /// Takes the oldest element out of a queue that is not empty, and returns its number and hash.
    mutating func removeFirst() -> (number: UInt32, hash: UInt32) {
        let (number, hash) = (base &+ passed, chunks[0].records[Int(passed)].hash)
        passed += 1
        count -= 1
        if count == 0 || passed == Self.chunkElements {
            chunks.removeFirst()
            (base, passed) = (base &+ Self.chunkElements, 0)
        }
        return (number, hash)
    }
}

/// Oldest first.
extension RecordQueue: Sequence {
    struct Iterator: IteratorProtocol {
        private let chunks: Deque<Chunk>
        private var chunk = 0
        private var place: Int

        fileprivate init(_ queue: borrowing RecordQueue) { (chunks, place) = (queue.chunks, Int(queue.passed)) }

        mutating func next() -> (name: CommandName, entry: Element)? {
            guard chunk < chunks.count else { return nil }
            let record = (name: chunks[chunk].name(place), entry: chunks[chunk].records[place].element)
            place += 1
            if place == chunks[chunk].records.count { (chunk, place) = (chunk + 1, 0) }
            return record
        }
    }

    func makeIterator() -> Iterator { Iterator(self) }
}
