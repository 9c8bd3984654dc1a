import Codec
package import Domain
package import Ports

/// Reads what backups have left in a store; changes nothing.
package struct BackupReader: Sendable {
    private static let namesAtOnce = 1000

    let store: any BlobStore

    package init(store: any BlobStore) { self.store = store }

    /// The logs that have a backup here, in order.
    package func logs() async throws -> [LogIdentity] {
        var (logs, after) = ([LogIdentity](), String?.none)
        while let name = try await store.list(prefix: BackupNames.root, after: after, limit: 1).first?.key.name {
            let part = name.dropFirst(BackupNames.root.count).prefix { $0 != "/" }
            if let log = LogIdentity(hex: part) { logs.append(log) }
            // Behind every name in this folder: no name has a `~`.
            after = "\(BackupNames.root)\(part)/~"
        }
        return logs
    }

    /// The newest index that is whole, and the newest generation that there is; zero without any.
    func indexes(of log: LogIdentity) async throws -> (sound: BackupIndex?, last: UInt64) {
        let generations = try await generations(of: log)
        for generation in generations.reversed() {
            if let index = try await index(log, generation) { return (index, generations.last ?? 0) }
        }
        return (nil, generations.last ?? 0)
    }

    /// Ascending.
    package func generations(of log: LogIdentity) async throws -> [UInt64] {
        try await names(in: BackupNames.indexFolder(log)).compactMap { plainDecimal(BackupNames.lastPart($0)) }
    }

    /// Nil when there is none, or when it is damaged.
    package func index(_ log: LogIdentity, _ generation: UInt64) async throws -> BackupIndex? {
        let bytes = try await store.wholeIfThere(.named(BackupNames.index(log, generation)))
        guard let index = bytes.flatMap({ BackupIndex($0) }) else { return nil }
        return index.end.log == log && index.generation == generation ? index : nil
    }

    func segments(in folder: String) async throws -> [SegmentName] {
        try await names(in: folder).compactMap { SegmentName(BackupNames.lastPart($0)) }
    }

    private func names(in folder: String) async throws -> [String] {
        var names: [String] = []
        while true {
            let page = try await store.list(prefix: folder, after: names.last, limit: Self.namesAtOnce)
            names += page.compactMap(\.key.name)
            if page.count < Self.namesAtOnce { return names }
        }
    }

    /// The sealed segments from the log's start to a position, found backwards: each one's footer says the hash that
    /// the one before ends with. Fails with `damaged`, naming what is missing.
    package func sealed(upTo position: LogPosition) async throws -> [SegmentName] {
        let folder = BackupNames.sealedFolder(position.log)
        let standing = try await segments(in: folder)
        let all = Dictionary(grouping: try await standing + segments(in: BackupNames.aside(folder)), by: \.last)
        var (path, last, chain) = ([SegmentName](), position.sequence, position.chain)
        while last > .zero {
            guard let name = all[last]?.first(where: { $0.end.chain == chain }) else {
                throw StoreFailure(
                    code: "damaged",
                    message:
                        "the backup of log \(position.log) lacks the sealed segment that ends at sequence \(last), "
                        + "chain \(chain)",
                    outcome: .damaged)
            }
            path.append(name)
            last = LogSequence(rawValue: name.first.rawValue - 1)
            chain = last == .zero ? .zero : try await footer(name).before
        }
        return path.reversed()
    }

    private func footer(_ name: SegmentName) async throws -> SegmentFooter {
        for place in places(of: name, at: BackupNames.sealed) {
            let size = try await store.information(place)?.bytes ?? 0
            guard size >= UInt64(SegmentFooter.bytes) else { continue }
            do throws(BlobFailure) {
                let bytes = try await store.read(
                    place, offset: size - UInt64(SegmentFooter.bytes), count: SegmentFooter.bytes)
                if let found = SegmentFooter(bytes.span), found.name == name { return found }
            } catch { guard error.code == .notFound else { throw error } }
        }
        throw StoreFailure(
            code: "damaged", message: "the segment \(name) is damaged: its footer is not its own", outcome: .damaged)
    }

    /// Gives every batch that an index amounts to, from the log's start, each proved; stops behind `until`. Returns the
    /// position at the end.
    package func batches(
        of index: BackupIndex, until: LogSequence? = nil, _ body: (StoredBatch) async throws -> Void
    ) async throws -> LogPosition {
        // A backup that goes on removes pieces after some rounds, sealed segments never: the tail is taken first.
        var tail: [(SegmentName, [UInt8])] = []
        for piece in index.tail { tail.append((piece.name, try await bytes(piece.name, at: BackupNames.tail))) }
        let start = LogPosition.start(of: index.end.log)
        var (end, given) = (start, start)
        func give(_ name: SegmentName, _ bytes: [UInt8]) async throws {
            if let until, end.sequence >= until { return }
            var batches: [StoredBatch] = []
            end = try SegmentReader(bytes, name: name).batches(after: end) { batches.append($0) }
            for batch in batches where batch.end.sequence <= until ?? batch.end.sequence {
                try await body(batch)
                given = batch.end
            }
        }
        for name in try await sealed(upTo: index.sealed) {
            try await give(name, try await bytes(name, at: BackupNames.sealed))
        }
        for (name, bytes) in tail { try await give(name, bytes) }
        return given
    }

    func bytes(_ name: SegmentName, at object: (SegmentName) -> String) async throws -> [UInt8] {
        for place in places(of: name, at: object) {
            if let bytes = try await store.wholeIfThere(place) { return bytes }
        }
        throw StoreFailure(
            code: "damaged", message: "the backup of log \(name.log) lacks the segment \(name)", outcome: .damaged)
    }

    /// Where a segment is looked for, in this order: one that is put again is aside until it is back.
    private func places(of name: SegmentName, at object: (SegmentName) -> String) -> [BlobKey] {
        [object(name), BackupNames.aside(object(name)), object(name)].map { .named($0) }
    }
}

extension BlobKey {
    var name: String? {
        switch self {
        case .named(let name): name
        case .content: nil
        }
    }
}
