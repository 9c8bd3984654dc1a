import Codec
package import Domain
import Foundation

/// Which kind of log it is, and so where its engine keeps the blobs that it names.
package enum LogKind: String, Hashable, Sendable, Codable, CaseIterable {
    case global
    case regional

    /// The blob store beside the log, in an engine's data directory.
    package var storeName: String {
        switch self {
        case .global: "blobs"
        case .regional: "store"
        }
    }
}

/// What a backup amounted to at one moment: the last object that each round writes, so that all it names is there.
///
/// Generations have no gap and each is created once: of two backups at once, one gets the next generation and the
/// other begins again behind it.
package struct BackupIndex: Hashable, Sendable, Codable {
    package struct Piece: Hashable, Sendable, Codable {
        package var name: SegmentName
        /// Of its content, not packed.
        package var bytes: UInt64

        package init(name: SegmentName, bytes: UInt64) { (self.name, self.bytes) = (name, bytes) }

        private enum CodingKeys: String, CodingKey { case name, bytes }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            guard let name = SegmentName(try container.decode(String.self, forKey: .name)) else {
                throw DecodingError.dataCorruptedError(forKey: .name, in: container, debugDescription: "no segment")
            }
            self.init(name: name, bytes: try container.decode(UInt64.self, forKey: .bytes))
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode("\(name)", forKey: .name)
            try container.encode(bytes, forKey: .bytes)
        }
    }

    static let currentFormat = 1
    static let maximumBytes = 1 << 20

    package var format = currentFormat
    package var generation: UInt64
    package var kind: LogKind
    /// Up to here the log is in sealed segments, which are found by their names.
    package var sealed: LogPosition
    /// Behind them, one behind the other.
    package var tail: [Piece]
    /// Milliseconds since 1970, by the writer's clock.
    package var written: Int64
    /// What redactions that are recorded up to here took out of the log is out of the store too; nil for none.
    package var clean: LogSequence?

    package var end: LogPosition { tail.last?.name.end ?? sealed }

    package init(
        generation: UInt64, kind: LogKind, sealed: LogPosition, tail: [Piece], written: Int64, clean: LogSequence? = nil
    ) {
        (self.generation, self.kind, self.sealed, self.tail) = (generation, kind, sealed, tail)
        (self.written, self.clean) = (written, clean)
    }

    /// One line of JSON and one with its CRC32C, in eight hexadecimal digits.
    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Array(try encoder.encode(self)) + Array("\n".utf8)
        return line + Array("\(Self.checksum(line))\n".utf8)
    }

    /// Nil for bytes that are no whole index of a format that this version knows.
    package init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = Array(bytes[...end])
        guard Array(bytes[(end + 1)...]) == Array("\(Self.checksum(line))\n".utf8),
            let index = try? JSONDecoder().decode(BackupIndex.self, from: Data(line)), index.isConsistent
        else { return nil }
        self = index
    }

    private var isConsistent: Bool {
        var end = sealed
        for piece in tail {
            guard piece.name.first == end.sequence.next, piece.name.log == end.log else { return false }
            end = piece.name.end
        }
        return format == Self.currentFormat && generation > 0
    }

    private static func checksum(_ line: [UInt8]) -> String {
        let sum = crc32c(line.span)
        return hexadecimal((0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) })
    }
}

/// How a log's objects are called in a store.
package enum BackupNames {
    package static let root = "backups/"

    package static func folder(_ log: LogIdentity) -> String { "\(root)\(log)/" }
    static func sealedFolder(_ log: LogIdentity) -> String { folder(log) + "segments/" }
    static func tailFolder(_ log: LogIdentity) -> String { folder(log) + "tail/" }
    static func indexFolder(_ log: LogIdentity) -> String { folder(log) + "index/" }

    static func sealed(_ name: SegmentName) -> String { sealedFolder(name.log) + "\(name)" }
    static func tail(_ name: SegmentName) -> String { tailFolder(name.log) + "\(name)" }
    static func index(_ log: LogIdentity, _ generation: UInt64) -> String {
        indexFolder(log) + SegmentName.padded(generation)
    }

    /// Where an object, or a folder's objects, stand while they are put again under their names.
    static func aside(_ name: String) -> String { "aside/" + name }

    /// The last part of an object's name.
    static func lastPart(_ name: String) -> Substring { name.split(separator: "/").last ?? "" }
}
