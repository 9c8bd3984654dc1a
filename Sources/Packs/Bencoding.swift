/// A value of BitTorrent's encoding (BEP 3): text is bytes, and so are a dictionary's keys.
enum Bencoding: Hashable, Sendable {
    case number(UInt64)
    case bytes([UInt8])
    case list([Bencoding])
    case dictionary([[UInt8]: Bencoding])

    static func text(_ text: String) -> Bencoding { .bytes(Array(text.utf8)) }

    static func dictionary(text: [String: Bencoding]) -> Bencoding {
        .dictionary(.init(uniqueKeysWithValues: text.map { (Array($0.key.utf8), $0.value) }))
    }

    /// The only encoding of this value: keys ascend, compared as bytes.
    var encoded: [UInt8] {
        switch self {
        case .number(let number): Array("i\(number)e".utf8)
        case .bytes(let bytes): Array("\(bytes.count):".utf8) + bytes
        case .list(let items): Array("l".utf8) + items.flatMap(\.encoded) + Array("e".utf8)
        case .dictionary(let entries):
            Array("d".utf8)
                + entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }.flatMap { key, value in
                    Bencoding.bytes(key).encoded + value.encoded
                } + Array("e".utf8)
        }
    }
}
