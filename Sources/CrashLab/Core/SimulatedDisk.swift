/// A file system as a loss of power sees it: what is durable for certain, and what may or may not have reached the disk.
///
/// The model is as hostile as the standards allow. A write is durable only once its file was flushed; until then any
/// part of it may be there, in any order with others. A name is durable only once its directory was flushed; a flushed
/// file may still have none. A rename is whole or not there.
package struct SimulatedDisk: Sendable {
    enum Content: Hashable, Sendable {
        case bytes(ArraySlice<UInt8>, at: Int)
        case length(Int)
    }

    /// A change of a file that is not durable for certain.
    struct Change: Hashable, Sendable {
        var step: Int
        var content: Content
        /// Its flush has failed: a later one does not write it, but with the pages that were changed again.
        var isGivenUp = false
    }

    struct File: Sendable {
        var durable: [UInt8] = []
        var pending: [Change] = []
    }

    /// A change of names that is not durable for certain: whole or not there.
    struct Naming: Hashable, Sendable {
        struct Edit: Hashable, Sendable {
            var directory: Int
            var name: String
            /// Nil removes the name.
            var node: Int?
        }

        var step: Int
        var edits: [Edit]
    }

    enum Node: Sendable {
        case file(File)
        /// The names that are durable.
        case directory([String: Int])
    }

    package struct Impossible: Error, CustomStringConvertible {
        package var step: Int
        package var what: String
        package var description: String { "step \(step) of the trace makes no sense: \(what)" }
    }

    static let root = 0
    /// What `O_DSYNC` makes durable beside the bytes written: all else on their pages.
    private static let pageBytes = 4096

    /// Never removed, so that a number means the same for ever.
    private(set) var nodes: [Node] = [.directory([:])]
    private(set) var namings: [Naming] = []
    /// What a process sees: each directory's names.
    private var seen: [Int: [String: Int]] = [root: [:]]
    private var opened: [UInt64: Int] = [:]
    private var lastWrites: [UInt64: Int] = [:]
    private var steps = 0
    /// Everything said so far, a line each; the last one may be unfinished.
    package private(set) var said: [UInt8] = []

    package init() {}

    /// Pieces that a loss of power may keep or drop.
    package var pendingUnits: Int {
        namings.count + nodes.reduce(0) { if case .file(let file) = $1 { $0 + file.pending.count } else { $0 } }
    }

    package mutating func take(_ step: Trace.Step) throws(Impossible) {
        defer { steps += 1 }
        switch step {
        case .open(let file, let path, let notes): try open(file, path, notes)
        case .write(let file, let offset, let bytes): try change(file, .bytes(bytes, at: offset))
        case .truncate(let file, let length): try change(file, .length(length))
        case .flush(let file, let before): try flush(file, before: before)
        case .flushFailed(let file, let before): try giveUp(file, before: before)
        case .flushOne(let file): try flushOne(file)
        case .makeDirectory(let path):
            nodes.append(.directory([:]))
            seen[nodes.count - 1] = [:]
            try name([(path, nodes.count - 1)])
        case .removeDirectory(let path), .unlink(let path): try name([(path, nil)])
        case .rename(let old, let new): try name([(old, nil), (new, try node(old))])
        case .link(let old, let new): try name([(new, try node(old))])
        case .said(let bytes): said += bytes
        }
    }

    private mutating func open(_ file: UInt64, _ path: String, _ notes: Trace.OpenNotes) throws(Impossible) {
        if notes.isCreated && !notes.isDirectory {
            nodes.append(.file(File()))
            try name([(path, nodes.count - 1)])
        }
        opened[file] = try node(path)
        if notes.isCut && !notes.isCreated { try change(file, .length(0)) }
    }

    private mutating func change(_ file: UInt64, _ content: Content) throws(Impossible) {
        let change = Change(step: steps, content: content)
        try withFile(try number(file)) { $0.pending.append(change) }
        lastWrites[file] = steps
    }

    private mutating func flush(_ file: UInt64, before: Int) throws(Impossible) {
        let number = try number(file)
        if case .directory = nodes[number] {
            let (done, left) = namings.parted { $0.step < before && $0.edits.contains { $0.directory == number } }
            for naming in done { naming.apply(to: &nodes) }
            namings = left
        } else {
            try withFile(number) { file in
                let fresh = file.pending.filter { $0.step < before && !$0.isGivenUp }
                let pages = Set(fresh.flatMap { $0.pages(of: Self.pageBytes).map(Array.init) ?? [] })
                let (done, left) = file.pending.parted { change in
                    guard change.isGivenUp else { return change.step < before }
                    return change.pages(of: Self.pageBytes)?.contains { pages.contains($0) } ?? false
                }
                for change in done { change.apply(to: &file.durable) }
                file.pending = left
            }
        }
    }

    /// What was not flushed is a page's own matter from now on.
    private mutating func giveUp(_ file: UInt64, before: Int) throws(Impossible) {
        try withFile(try number(file)) { file in
            file.pending = file.pending.flatMap { change -> [Change] in
                guard change.step < before, !change.isGivenUp else { return [change] }
                return change.pieces(of: Self.pageBytes).map { piece in
                    var piece = piece
                    piece.isGivenUp = true
                    return piece
                }
            }
        }
    }

    private mutating func flushOne(_ file: UInt64) throws(Impossible) {
        let last = lastWrites[file]
        try withFile(try number(file)) { file in
            guard let pages = file.pending.last(where: { $0.step == last })?.pages(of: Self.pageBytes) else { return }
            let (done, left) = file.pending.parted { change in
                change.pages(of: Self.pageBytes).map { $0.overlaps(pages) } ?? false
            }
            for change in done { change.apply(to: &file.durable) }
            file.pending = left
        }
    }

    private mutating func name(_ changes: [(String, Int?)]) throws(Impossible) {
        var edits: [Naming.Edit] = []
        for (path, node) in changes {
            let parts = path.split(separator: "/")
            guard let last = parts.last else { throw Impossible(step: steps, what: "the directory itself is named") }
            let directory = try self.node(parts.dropLast().joined(separator: "/"))
            edits.append(Naming.Edit(directory: directory, name: String(last), node: node))
            seen[directory]?[String(last)] = node
        }
        namings.append(Naming(step: steps, edits: edits))
    }

    private func node(_ path: String) throws(Impossible) -> Int {
        var number = Self.root
        for part in path.split(separator: "/") {
            guard let next = seen[number]?[String(part)] else { throw Impossible(step: steps, what: "no \(path)") }
            number = next
        }
        return number
    }

    private func number(_ file: UInt64) throws(Impossible) -> Int {
        guard let number = opened[file] else { throw Impossible(step: steps, what: "file \(file) is not open") }
        return number
    }

    private mutating func withFile(_ number: Int, _ body: (inout File) -> Void) throws(Impossible) {
        guard case .file(var file) = nodes[number] else {
            throw Impossible(step: steps, what: "a directory is written")
        }
        // Its place is emptied, so that the bytes are changed where they are.
        nodes[number] = .directory([:])
        body(&file)
        nodes[number] = .file(file)
    }
}

extension SimulatedDisk.Naming {
    func apply(to nodes: inout [SimulatedDisk.Node]) {
        for edit in edits {
            guard case .directory(var names) = nodes[edit.directory] else { continue }
            names[edit.name] = edit.node
            nodes[edit.directory] = .directory(names)
        }
    }
}

extension SimulatedDisk.Change {
    /// As a whole.
    func apply(to bytes: inout [UInt8]) {
        switch content {
        case .length(let length): bytes.resize(length)
        case .bytes(let new, let offset):
            if bytes.count < offset + new.count { bytes.resize(offset + new.count) }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
        }
    }

    /// The parts of a write that lie on one page each; a change of length as it is.
    func pieces(of size: Int) -> [SimulatedDisk.Change] {
        guard case .bytes(let new, let offset) = content, let pages = pages(of: size) else { return [self] }
        return pages.map { page in
            let range = max(offset, page * size)..<min(offset + new.count, (page + 1) * size)
            let piece = new[new.startIndex + range.lowerBound - offset..<new.startIndex + range.upperBound - offset]
            return SimulatedDisk.Change(step: step, content: .bytes(piece, at: range.lowerBound))
        }
    }

    /// The pages that a write touches; nil for a change of length.
    func pages(of size: Int) -> Range<Int>? {
        guard case .bytes(let new, let offset) = content else { return nil }
        return offset / size..<(offset + new.count + size - 1) / size
    }
}

extension [UInt8] {
    /// Cuts, or adds zeros.
    mutating func resize(_ length: Int) {
        if length < count { removeLast(count - length) } else { self += repeatElement(0, count: length - count) }
    }
}

extension Array {
    /// Those that are so and those that are not, each in their order.
    fileprivate func parted(_ isSo: (Element) -> Bool) -> (so: [Element], others: [Element]) {
        (filter(isSo), filter { !isSo($0) })
    }
}
