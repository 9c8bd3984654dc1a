/// What a loss of power may have left: every file and directory by its path.
package struct CrashImage: Hashable, Sendable {
    package var files: [String: [UInt8]] = [:]
    package var directories: Set<String> = []
}

/// Which of all that is not durable for certain reached the disk.
package enum Survival: Hashable, Sendable {
    case nothing
    case everything
    /// The units, in their order, whose bit is set.
    case units(UInt64)
    /// Drawn: any units in any order, each whole or torn.
    case drawn(seed: UInt64)
}

extension SimulatedDisk {
    private enum Unit {
        case change(node: Int, Change)
        case naming(Naming)

        var step: Int {
            switch self {
            case .change(_, let change): change.step
            case .naming(let naming): naming.step
            }
        }
    }

    /// Files whose bytes mean nothing after a crash, which may therefore hold anything: LMDB's table of readers is
    /// written through a mapping, in no order that anybody sees.
    private static let meaningless = "lock.mdb"
    /// Of what it may hold: more would only make more images of the same.
    private static let kindsOfNoise = 4

    package func image(_ survival: Survival) -> CrashImage {
        var nodes = nodes
        switch survival {
        case .nothing: break
        case .everything: for unit in units { apply(unit, to: &nodes) }
        case .units(let mask):
            for (index, unit) in units.enumerated() where index < 64 && mask >> UInt64(index) & 1 != 0 {
                apply(unit, to: &nodes)
            }
        case .drawn(let seed):
            var numbers = SeededNumbers(seed: seed)
            draw(&numbers, into: &nodes)
            var image = tree(nodes)
            spoil(&image, &numbers)
            return image
        }
        return tree(nodes)
    }

    private var units: [Unit] {
        var units = namings.map(Unit.naming)
        for (number, node) in nodes.enumerated() {
            if case .file(let file) = node { units += file.pending.map { .change(node: number, $0) } }
        }
        return units.sorted { $0.step < $1.step }
    }

    private func apply(_ unit: Unit, to nodes: inout [Node]) {
        switch unit {
        case .naming(let naming): naming.apply(to: &nodes)
        case .change(let number, let change): nodes.withFile(number) { change.apply(to: &$0.durable) }
        }
    }

    private func draw(_ numbers: inout SeededNumbers, into nodes: inout [Node]) {
        var units = units
        // Journals keep the order of names, so half of the time a prefix of them survives.
        let lastName = numbers.once(in: 2) ? numbers.below(namings.count + 1) : nil
        if numbers.once(in: 2) { units.shuffle(using: &numbers) }
        let kept = numbers.below(9) + 1
        let tearing = Tearing(drawnFrom: &numbers)
        var named = 0
        for unit in units {
            let survives = numbers.below(10) < kept
            switch unit {
            case .naming(let naming):
                named += 1
                if lastName.map({ named <= $0 }) ?? survives { naming.apply(to: &nodes) }
            case .change(let number, let change):
                nodes.withFile(number) { file in
                    change.apply(to: &file.durable, tearing, survives: survives, &numbers)
                }
            }
        }
    }

    private func spoil(_ image: inout CrashImage, _ numbers: inout SeededNumbers) {
        for path in image.files.keys.sorted() where path.hasSuffix(Self.meaningless) {
            switch numbers.below(3) {
            case 0: image.files[path] = nil
            case 1:
                var noise = SeededNumbers(seed: UInt64(numbers.below(Self.kindsOfNoise)))
                image.files[path] = (0..<8192).map { _ in UInt8(truncatingIfNeeded: noise.next()) }
            case _: break
            }
        }
    }

    private func tree(_ nodes: [Node]) -> CrashImage {
        var image = CrashImage()
        // A directory that is named twice, as after half of a move, is walked once.
        var walked: Set<Int> = []
        func walk(_ number: Int, _ path: String) {
            switch nodes[number] {
            case .file(let file): image.files[path] = file.durable
            case .directory(let names):
                guard walked.insert(number).inserted else { return }
                if !path.isEmpty { image.directories.insert(path) }
                for (name, next) in names.sorted(by: { $0.key < $1.key }) {
                    walk(next, path.isEmpty ? name : "\(path)/\(name)")
                }
            }
        }
        walk(Self.root, "")
        return image
    }
}

/// How writes of one image are torn.
private struct Tearing {
    enum Part {
        case whole, head, tail, any
    }

    /// What a disk writes at once.
    let sectorBytes: Int
    let isTorn: Bool

    init(drawnFrom numbers: inout SeededNumbers) {
        sectorBytes = numbers.once(in: 2) ? 512 : 4096
        isTorn = numbers.below(3) > 0
    }

    func part(_ numbers: inout SeededNumbers) -> Part {
        guard isTorn else { return .whole }
        switch numbers.below(4) {
        case 0: return .head
        case 1: return .tail
        case 2: return .any
        case _: return .whole
        }
    }
}

extension SimulatedDisk.Change {
    /// A part of a write; of one that did not survive perhaps the length that it gave the file.
    fileprivate func apply(
        to bytes: inout [UInt8], _ tearing: Tearing, survives: Bool, _ numbers: inout SeededNumbers
    ) {
        guard case .bytes(let new, let offset) = content else {
            if survives { apply(to: &bytes) }
            return
        }
        let end = offset + new.count
        let part = tearing.part(&numbers)
        if survives, case .whole = part { return apply(to: &bytes) }
        if end > bytes.count, numbers.once(in: 2) { bytes.resize(end) }
        guard survives else { return }
        let size = tearing.sectorBytes
        let sectors = offset / size..<(end + size - 1) / size
        let cut = sectors.lowerBound + numbers.below(sectors.count + 1)
        for sector in sectors {
            let isKept: Bool =
                switch part {
                case .whole: true
                case .head: sector < cut
                case .tail: sector >= cut
                case .any: numbers.once(in: 2)
                }
            guard isKept else { continue }
            let range = max(offset, sector * size)..<min(end, (sector + 1) * size)
            let piece = new[new.startIndex + range.lowerBound - offset..<new.startIndex + range.upperBound - offset]
            SimulatedDisk.Change(step: step, content: .bytes(piece, at: range.lowerBound)).apply(to: &bytes)
        }
    }
}

extension [SimulatedDisk.Node] {
    fileprivate mutating func withFile(_ number: Int, _ body: (inout SimulatedDisk.File) -> Void) {
        guard case .file(var file) = self[number] else { return }
        self[number] = .directory([:])
        body(&file)
        self[number] = .file(file)
    }
}
