/// What a recorded process did below its directory, in order, with contents: what `CRecorder` wrote down.
package struct Trace: Sendable {
    package enum Step: Hashable, Sendable {
        /// `file` is a number for this descriptor's life.
        case open(file: UInt64, path: String, OpenNotes)
        case write(file: UInt64, offset: Int, bytes: ArraySlice<UInt8>)
        case truncate(file: UInt64, length: Int)
        /// What the first `before` steps did to the file, or to the names in the directory, is durable.
        case flush(file: UInt64, before: Int)
        /// A flush of what the first `before` steps did to the file failed: nobody tries to write that again.
        case flushFailed(file: UInt64, before: Int)
        /// The write before, of this file, is durable, with all else on its pages.
        case flushOne(file: UInt64)
        case makeDirectory(String)
        case removeDirectory(String)
        case unlink(String)
        case rename(String, String)
        case link(String, String)
        /// Written to standard output.
        case said(ArraySlice<UInt8>)
    }

    package struct OpenNotes: Hashable, Sendable {
        package var isCreated = false
        package var isCut = false
        package var isDirectory = false

        package init(isCreated: Bool = false, isCut: Bool = false, isDirectory: Bool = false) {
            (self.isCreated, self.isCut, self.isDirectory) = (isCreated, isCut, isDirectory)
        }

        fileprivate init(flags: UInt32) {
            self.init(isCreated: flags & 1 != 0, isCut: flags & 2 != 0, isDirectory: flags & 4 != 0)
        }
    }

    package struct Malformed: Error, CustomStringConvertible {
        package var step: Int
        package var description: String {
            "the trace cannot be read at step \(step): was it cut, or written elsewhere?"
        }
    }

    package var steps: [Step] = []
    /// How many steps there were when each further process began.
    package private(set) var bases: [Int] = []

    package init(steps: [Step]) { self.steps = steps }

    /// Several recordings of one directory, one after the other, may stand in one file: they are numbered through.
    ///
    /// - Parameter starts: where in the file a further process began to record.
    package init(_ bytes: [UInt8], starts: [Int] = []) throws(Malformed) {
        var (place, base, starts) = (0, 0, starts[...])
        while place < bytes.count {
            if place == starts.first {
                base = steps.count
                bases.append(base)
                starts.removeFirst()
            }
            guard let header = Header(bytes, at: place), header.length <= UInt64(bytes.count - place - Header.bytes)
            else { throw Malformed(step: steps.count) }
            let begin = place + Header.bytes
            place = begin + Int(header.length)
            guard let step = Self.step(header, bytes[begin..<place], base: base) else {
                throw Malformed(step: steps.count)
            }
            steps.append(step)
        }
    }

    private struct Header {
        static let bytes = 32
        var kind, flags: UInt32
        var file, offset, length: UInt64

        init?(_ bytes: [UInt8], at place: Int) {
            guard bytes.count - place >= Self.bytes else { return nil }
            func number(_ offset: Int, _ count: Int) -> UInt64 {
                bytes[place + offset..<place + offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
            }
            (kind, flags) = (UInt32(number(0, 4)), UInt32(number(4, 4)))
            (file, offset, length) = (number(8, 8), number(16, 8), number(24, 8))
        }
    }

    /// The numbers are those of `CRecorder.h`.
    private static func step(_ header: Header, _ payload: ArraySlice<UInt8>, base: Int) -> Step? {
        let text = String(decoding: payload, as: UTF8.self)
        let offset = Int(clamping: header.offset)
        let word = header.kind
        switch word {
        case 1: return .open(file: header.file, path: text, OpenNotes(flags: header.flags))
        case 2: return .write(file: header.file, offset: offset, bytes: payload)
        case 3: return .truncate(file: header.file, length: offset)
        case 4: return .flush(file: header.file, before: base + offset)
        case 5: return .flushOne(file: header.file)
        case 6: return .makeDirectory(text)
        case 7: return .removeDirectory(text)
        case 8: return .unlink(text)
        case 9: return pair(payload).map { .rename($0, $1) }
        case 10: return pair(payload).map { .link($0, $1) }
        case 11: return .said(payload)
        case 12: return .flushFailed(file: header.file, before: base + offset)
        case _: return nil
        }
    }

    private static func pair(_ payload: ArraySlice<UInt8>) -> (String, String)? {
        let parts = payload.split(separator: 0)
        guard parts.count == 2 else { return nil }
        return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self))
    }
}
