internal import Domain
internal import Yams

/// A value of a recipe with its place. Types are those of the text as YAML reads it: a number is no string, so that
/// `1.10` never silently becomes `1.1`.
struct RecipeValue {
    let node: Node
    /// The path of keys to it.
    let key: String
    let line: Int?

    func failure(_ message: String) -> RecipeFailure { RecipeFailure(line: line, key: key, message) }

    /// A string.
    func text() throws(RecipeFailure) -> String { try text(node, "a string") }

    /// A list of strings.
    func list() throws(RecipeFailure) -> [String] {
        guard case .sequence(let sequence) = node else { throw wrongType(node, "a list of strings") }
        var texts: [String] = []
        for element in sequence { texts.append(try text(element, "a list of strings")) }
        return texts
    }

    /// A string, or a list of them.
    func textOrList() throws(RecipeFailure) -> [String] {
        if case .sequence = node { return try list() }
        return [try text(node, "a string or a list of strings")]
    }

    /// A mapping of strings to strings.
    func texts() throws(RecipeFailure) -> [String: String] {
        guard case .mapping(let mapping) = node else { throw wrongType(node, "a mapping of names to strings") }
        var texts: [String: String] = [:]
        for (name, value) in mapping {
            let name = try text(name, "a mapping of names to strings")
            guard texts.updateValue(try text(value, "a mapping of names to strings"), forKey: name) == nil else {
                throw failure("sets '\(name)' twice; keep one")
            }
        }
        return texts
    }

    /// A plain decimal number.
    func number(in range: ClosedRange<UInt32>) throws(RecipeFailure) -> UInt32 {
        guard case .scalar(let scalar) = node, scalar.style == .plain, let number = plainDecimal(scalar.string),
            let value = UInt32(exactly: number), range.contains(value)
        else { throw failure("must be a number from \(range.lowerBound) to \(range.upperBound), without quotes") }
        return value
    }

    private func text(_ node: Node, _ wanted: String) throws(RecipeFailure) -> String {
        guard case .scalar(let scalar) = node, Resolver.default.resolveTag(of: node) == .str else {
            throw wrongType(node, wanted)
        }
        guard !scalar.string.utf8.contains(0) else {
            throw RecipeFailure(line: node.mark?.line ?? line, key: key, "holds a zero byte; take it out")
        }
        return scalar.string
    }

    private func wrongType(_ node: Node, _ wanted: String) -> RecipeFailure {
        let hint: String
        switch node {
        case .scalar(let scalar) where scalar.string.isEmpty: hint = "is empty; give \(wanted), or leave the key out"
        case .scalar(let scalar): hint = "must be \(wanted); write \"\(scalar.string.prefix(40))\" in quotes"
        case .mapping: hint = "must be \(wanted), not a mapping"
        case .sequence: hint = "must be \(wanted), not a list"
        case .alias: hint = "must be \(wanted), not an alias"
        }
        return RecipeFailure(line: node.mark?.line ?? line, key: key, hint)
    }
}

/// The keys of a mapping, all of them known.
struct RecipeFields {
    private let owner: RecipeValue
    private let values: [String: RecipeValue]

    init(_ value: RecipeValue, keys: [String]) throws(RecipeFailure) {
        guard case .mapping(let mapping) = value.node else {
            throw value.failure("must be a mapping with the keys \(keys.joined(separator: ", "))")
        }
        owner = value
        var values: [String: RecipeValue] = [:]
        for (name, node) in mapping {
            let text = name.scalar?.string ?? "?"
            guard keys.contains(text) else {
                throw RecipeFailure(
                    line: name.mark?.line, key: value.path(text.prefix(60)),
                    "is not a key here; the keys are \(keys.joined(separator: ", "))")
            }
            let found = RecipeValue(node: node, key: value.path(text[...]), line: name.mark?.line)
            guard values.updateValue(found, forKey: text) == nil else { throw found.failure("stands twice; keep one") }
        }
        self.values = values
    }

    init(root: Node, keys: [String]) throws(RecipeFailure) {
        try self.init(RecipeValue(node: root, key: "", line: root.mark?.line), keys: keys)
    }

    func value(_ key: String) -> RecipeValue? { values[key] }

    func required(_ key: String, _ meaning: String) throws(RecipeFailure) -> RecipeValue {
        guard let value = values[key] else {
            throw RecipeFailure(line: owner.line, key: owner.path(key[...]), "is missing; write \(meaning)")
        }
        return value
    }
}

extension RecipeValue {
    fileprivate func path(_ name: Substring) -> String { key.isEmpty ? String(name) : "\(key).\(name)" }
}

/// The document's root.
func recipeRoot(_ bytes: [UInt8]) throws(RecipeFailure) -> Node {
    guard bytes.count <= Recipe.maximumFileBytes else {
        throw RecipeFailure(
            "the recipe is larger than \(Recipe.maximumFileBytes) bytes; move scripts to files of their own")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw RecipeFailure("the recipe is not UTF-8 text; save it as UTF-8")
    }
    try refuseAliases(bytes)
    do {
        guard let root = try Parser(yaml: text, encoding: .utf8).singleRoot() else {
            throw RecipeFailure("the recipe is empty; write at least build and artifact")
        }
        return root
    } catch let failure as RecipeFailure {
        throw failure
    } catch {
        throw recipeFailure(of: error)
    }
}

private func recipeFailure(of error: any Error) -> RecipeFailure {
    guard let error = error as? YamlError else { return RecipeFailure("the recipe is not YAML: \(error)") }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        return RecipeFailure(line: mark.line, "the recipe is not one YAML document: \(problem)")
    case .duplicatedKeysInMapping(let names, let context):
        return RecipeFailure(line: context.mark.line, key: names.first, "stands twice; keep one")
    case .reader(let problem, _, _, _): return RecipeFailure("the recipe is not YAML: \(problem)")
    case .memory, .no, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
        return RecipeFailure("the recipe is not YAML: \(error)")
    }
}

/// A few aliases of aliases make a tree of billions of nodes, and the parser compares keys while it reads. So they are
/// refused before: by their look, because only the parser could tell. What looks like an anchor *and* what looks like an
/// alias must be there, each at a place where YAML could mean it; scripts hardly ever have both.
private func refuseAliases(_ bytes: [UInt8]) throws(RecipeFailure) {
    var line = 1
    var anchorLine: Int?
    var hasAlias = false
    for (index, byte) in bytes.enumerated() {
        if byte == UInt8(ascii: "\n") { line += 1 }
        guard byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*"), index + 1 < bytes.count,
            isAnchorCharacter(bytes[index + 1]), index == 0 || isNodeBorder(bytes[index - 1])
        else { continue }
        if byte == UInt8(ascii: "&") { anchorLine = anchorLine ?? line } else { hasAlias = true }
    }
    guard let anchorLine, hasAlias else { return }
    throw RecipeFailure(line: anchorLine, "anchors (&name) and aliases (*name) are not taken; write the value out")
}

private func isAnchorCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
    default: false
    }
}

/// Line ends and blanks of any encoding, and what opens a flow collection or separates in it. Bytes above 127 count,
/// because some of them end a line break of Unicode.
private func isNodeBorder(_ byte: UInt8) -> Bool {
    byte <= 0x20 || byte >= 0x80
        || [
            UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "-"),
            UInt8(ascii: "?"),
        ].contains(byte)
}
