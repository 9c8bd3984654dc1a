/// Writes JSON in the order it is told, with nothing between the tokens.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// Whether the next member is its object's first.
    private var isFirst = true

    mutating func beginObject() {
        bytes.append(UInt8(ascii: "{"))
        isFirst = true
    }

    mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        isFirst = false
    }

    mutating func key(_ name: String) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        string(name)
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func number(_ value: some FixedWidthInteger) { bytes.append(contentsOf: String(value).utf8) }
    mutating func flag(_ value: Bool) { bytes.append(contentsOf: (value ? "true" : "false").utf8) }

    mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 { append(escaping: byte) }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func append(escaping byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        case 0..<0x20:
            bytes.append(contentsOf: (byte < 0x10 ? "\\u000" : "\\u00").utf8)
            bytes.append(contentsOf: String(byte, radix: 16).utf8)
        default: bytes.append(byte)
        }
    }
}

extension JSONWriter {
    mutating func member(_ name: String, _ value: some JSONField) {
        key(name)
        value.write(to: &self)
    }
}
