/// Whose key it is, and the key: what a command is remembered under.
///
/// Equal names are equal as texts are, whatever their normal form; the length keeps a name that ends like another one's
/// key apart from it.
struct CommandName: Hashable, Sendable {
    let actor: EventActor
    let key: String

    init(actor: EventActor, key: String) {
        self.actor = actor
        self.key = key
    }

    /// Nil unless the text is a name's description.
    init?(_ text: String) {
        let bytes = text.utf8
        guard let lengthEnd = bytes.firstIndex(of: UInt8(ascii: " ")), let length = Int(text[..<lengthEnd]),
            let colon = bytes[lengthEnd...].firstIndex(of: UInt8(ascii: ":")),
            let kind = EventActor.Kind(word: text[bytes.index(after: lengthEnd)..<colon]),
            let end = bytes.index(bytes.index(after: colon), offsetBy: length, limitedBy: bytes.endIndex),
            end < bytes.endIndex, bytes[end] == UInt8(ascii: " "),
            let name = String(bytes[bytes.index(after: colon)..<end]),
            let key = String(bytes[bytes.index(after: end)...])
        else { return nil }
        self.init(actor: EventActor(kind: kind, name: name), key: key)
        guard description == text else { return nil }
    }

    /// Not the same in every process; nothing that is stored or told depends on it.
    var hash: UInt32 {
        var hash = TableHash()
        hash.feed(UInt64(actor.kind.rawValue))
        hash.feed(actor.name)
        hash.feed(key)
        return UInt32(truncatingIfNeeded: hash.value >> 32)
    }

    static func == (left: CommandName, right: CommandName) -> Bool {
        left.key == right.key && left.actor == right.actor && left.actor.name.utf8.count == right.actor.name.utf8.count
    }
}

extension CommandName: CustomStringConvertible {
    /// As states name it: `3 person:ada KEY`.
    var description: String { "\(actor.name.utf8.count) \(actor) \(key)" }
}
