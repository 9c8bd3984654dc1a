import Codec
import Domain
import Ports

/// What `meta` says about the whole log: a few rows, each with a CRC32C over its key and its bytes at the end.
struct MetaRows: Hashable {
    /// Of a log that has everything since its first event.
    static let wholeFormat: UInt32 = 1
    /// Of a log that begins at an anchor: an older version must not take it for a damaged one.
    static let currentFormat: UInt32 = 2
    private static let anchorBytes = 48

    enum Key: String, CaseIterable {
        case anchor
        case archive
        case created
        case format
        case identity
    }

    /// The version of everything this room writes.
    var format: UInt32
    var identity: LogIdentity
    var created: Timestamp
    /// Where the log's stored part begins, and the place of what was before; nil for a whole log.
    var anchor: LogAnchor?

    /// The rows that there are.
    var keys: [Key] {
        Key.allCases.filter { key in
            switch key {
            case .anchor, .archive: anchor != nil
            case .created, .format, .identity: true
            }
        }
    }

    init(identity: LogIdentity, created: Timestamp, anchor: LogAnchor? = nil) {
        (self.identity, self.created, self.anchor) = (identity, created, anchor)
        format = anchor == nil ? Self.wholeFormat : Self.currentFormat
    }

    /// From the raw value of each key; the failure says which one is missing or wrong.
    init(_ value: (Key) throws -> [UInt8]?) throws {
        func row(_ key: Key, bytes: Int? = nil) throws -> [UInt8] {
            guard let stored = try value(key) else { throw MetaFailure.missing(key) }
            guard let content = Self.content(key, stored), bytes == nil || content.count == bytes else {
                throw MetaFailure.damaged(key)
            }
            return content
        }
        format = UInt32(truncatingIfNeeded: Self.number(try row(.format, bytes: 4)))
        guard (Self.wholeFormat...Self.currentFormat).contains(format) else { throw MetaFailure.version(format) }
        let identity = try row(.identity, bytes: 16)
        self.identity = LogIdentity(
            high: Self.number(identity[..<8].reversed()), low: Self.number(identity[8...].reversed()))
        created = Timestamp(milliseconds: Int64(bitPattern: Self.number(try row(.created, bytes: 8))))
        guard format > Self.wholeFormat else { return }
        guard let position = Self.anchor(try value(.anchor), of: self.identity) else {
            throw MetaFailure.damaged(.anchor)
        }
        anchor = LogAnchor(position: position, archive: String(decoding: try row(.archive), as: UTF8.self))
    }

    /// The position that the anchor's row says; nil for no sound row.
    static func anchor(_ stored: [UInt8]?, of log: LogIdentity) -> LogPosition? {
        guard let stored, let bytes = content(.anchor, stored), bytes.count == anchorBytes,
            let chain = Digest(bytes: Array(bytes[16...]))
        else { return nil }
        return LogPosition(
            log: log, epoch: Epoch(rawValue: number(bytes[8..<16])),
            sequence: LogSequence(rawValue: number(bytes[..<8])),
            chain: chain)
    }

    /// What is stored under a key.
    func value(_ key: Key) -> [UInt8] {
        var bytes: [UInt8] = []
        switch key {
        case .anchor:
            guard let position = anchor?.position else { break }
            bytes.append(littleEndian: position.sequence.rawValue)
            bytes.append(littleEndian: position.epoch.rawValue)
            bytes += position.chain.bytes
        case .archive: bytes += Array((anchor?.archive ?? "").utf8)
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
