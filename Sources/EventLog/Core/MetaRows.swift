import Codec
import Domain

/// What `meta` says about the whole log: three rows, each with a CRC32C over its key and its bytes at the end.
struct MetaRows: Hashable {
    static let currentFormat: UInt32 = 1
    static let count: UInt64 = 3

    enum Key: String, CaseIterable {
        case created
        case format
        case identity
    }

    /// The version of everything this room writes.
    var format: UInt32
    var identity: LogIdentity
    var created: Timestamp

    init(identity: LogIdentity, created: Timestamp) {
        (self.format, self.identity, self.created) = (Self.currentFormat, identity, created)
    }

    /// From the raw value of each key; the failure says which one is missing or wrong.
    init(_ value: (Key) throws -> [UInt8]?) throws {
        func row(_ key: Key, bytes: Int) throws -> [UInt8] {
            guard let stored = try value(key) else { throw MetaFailure.missing(key) }
            guard let content = Self.content(key, stored), content.count == bytes else {
                throw MetaFailure.damaged(key)
            }
            return content
        }
        format = UInt32(truncatingIfNeeded: Self.number(try row(.format, bytes: 4)))
        guard format == Self.currentFormat else { throw MetaFailure.version(format) }
        let identity = try row(.identity, bytes: 16)
        self.identity = LogIdentity(
            high: Self.number(identity[..<8].reversed()), low: Self.number(identity[8...].reversed()))
        created = Timestamp(milliseconds: Int64(bitPattern: Self.number(try row(.created, bytes: 8))))
    }

    /// What is stored under a key.
    func value(_ key: Key) -> [UInt8] {
        var bytes: [UInt8] = []
        switch key {
        case .created: bytes.append(littleEndian: UInt64(bitPattern: created.milliseconds))
        case .format: bytes.append(littleEndian: format)
        case .identity: bytes = bigEndianBytes(identity.high) + bigEndianBytes(identity.low)
        }
        bytes.append(littleEndian: crc32c((Array(key.rawValue.utf8) + bytes).span))
        return bytes
    }

    private static func content(_ key: Key, _ stored: [UInt8]) -> [UInt8]? {
        guard stored.count > 4 else { return nil }
        let bytes = Array(stored.dropLast(4))
        let checksum = UInt32(truncatingIfNeeded: number(Array(stored.suffix(4))))
        return checksum == crc32c((Array(key.rawValue.utf8) + bytes).span) ? bytes : nil
    }

    /// Little-endian.
    private static func number(_ bytes: some BidirectionalCollection<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

enum MetaFailure: Error {
    case missing(MetaRows.Key)
    case damaged(MetaRows.Key)
    case version(UInt32)
}
