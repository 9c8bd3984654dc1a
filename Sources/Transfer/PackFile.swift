internal import Foundation
internal import Glibc
package import Packs
package import Swarm
internal import Synchronization

package struct PackFileSettings: Hashable, Sendable {
    /// Left free on the file system beside the pack.
    package var minimumFreeBytes: UInt64 = 64 << 20
    /// Names this start of the machine; nil: the kernel's.
    package var bootID: String?

    package init() {}
}

/// A pack that is being fetched: a file of its full length, its pieces written in any order, and beside it
/// `.pieces`, which says what is there. Opened again after any end of the process it holds what was verified before.
///
/// Blocking; any thread may use it. One process at a time.
package final class PackFile: Sendable {
    package let manifest: Manifest
    package let layout: PieceLayout
    package let partialPath: String
    package let finalPath: String
    private struct State {
        var verified: PieceSet
        var isFinished = false
    }

    private let data: OpenFile
    private let map: OpenFile
    private let state: Mutex<State>
    private let bootID: String

    /// Opens what an earlier run left at `finalPath` + `.partial`, or makes it: all its space is taken at once.
    /// Fails with `store-full` before anything is fetched when the space is not there.
    package init(
        manifest: Manifest, finalPath: String, settings: PackFileSettings = PackFileSettings()
    ) throws(TransferFailure) {
        (self.manifest, self.finalPath, partialPath) = (manifest, finalPath, finalPath + ".partial")
        layout = try manifest.layout()
        bootID = settings.bootID ?? PieceMap.currentBootID()
        let isNew = !FileManager.default.fileExists(atPath: partialPath)
        if isNew { try Self.checkFree(layout.totalBytes, beside: partialPath, settings) }
        data = try Self.open(partialPath)
        map = try Self.open(partialPath + ".pieces")
        try Self.allocate(data, layout.totalBytes)
        let verified = try Self.restore(data, map, isNew: isNew, manifest, layout, bootID: bootID)
        state = Mutex(State(verified: verified))
        try record([])
    }

    package var verified: PieceSet { state.withLock { $0.verified } }
    package var isComplete: Bool { verified.isComplete }

    /// Hashes a piece and writes it; it counts when it is recorded. False, and nothing written, when the bytes are not
    /// the piece.
    package func write(_ bytes: [UInt8], piece: Int) throws(TransferFailure) -> Bool {
        guard manifest.isPiece(bytes, piece) else { return false }
        let offset = layout.range(of: piece).lowerBound
        try attempt { () throws(PackFailure) in try data.write(bytes, at: offset) }
        return true
    }

    /// These pieces are written.
    package func record(_ pieces: [Int]) throws(TransferFailure) {
        try access { state throws(TransferFailure) in
            for piece in pieces { state.verified.insert(piece) }
            let map = PieceMap(root: self.manifest.totals.root, bootID: self.bootID, pieces: state.verified)
            try attempt { () throws(PackFailure) in try self.map.write(map.bytes, at: 0) }
        }
    }

    /// Makes the whole file durable and gives it its final name. Done before: nothing.
    package func finish() throws(TransferFailure) {
        let (partial, final) = (partialPath, finalPath)
        try access { state throws(TransferFailure) in
            guard !state.isFinished else { return }
            guard state.verified.isComplete else {
                throw TransferFailure(.io, "\(partial) is not whole; fetch on")
            }
            try attempt { () throws(PackFailure) in
                try self.data.synchronize()
                try OpenFile.move(partial, to: final)
            }
            state.isFinished = true
            OpenFile.remove(partial + ".pieces")
            try attempt { () throws(PackFailure) in try OpenFile.synchronizeDirectory(of: final) }
        }
    }

    /// Takes the partial file away: the pack is not wanted any more.
    package static func remove(finalPath: String) {
        OpenFile.remove(finalPath + ".partial.pieces")
        OpenFile.remove(finalPath + ".partial")
    }

    /// `Mutex.withLock` loses the type of what is thrown.
    private func access<Value: Sendable>(
        _ body: (inout State) throws(TransferFailure) -> Value
    ) throws(TransferFailure) -> Value {
        let result = state.withLock { state in
            Result { () throws(TransferFailure) in try body(&state) }
        }
        return try result.get()
    }
}

// MARK: - Opening

extension PackFile {
    private static func open(_ path: String) throws(TransferFailure) -> OpenFile {
        try attempt { () throws(PackFailure) in try OpenFile.open(path, flags: O_RDWR | O_CREAT, mode: 0o600) }
    }

    private static func checkFree(
        _ bytes: UInt64, beside path: String, _ settings: PackFileSettings
    ) throws(TransferFailure) {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard let attributes = try? FileManager.default.attributesOfFileSystem(forPath: directory) else {
            throw TransferFailure(.io, "cannot look at \(directory): is it there, and may it be read?")
        }
        guard let free = (attributes[.systemFreeSize] as? NSNumber)?.uint64Value else { return }
        let needed = bytes.addingReportingOverflow(settings.minimumFreeBytes)
        guard !needed.overflow, needed.partialValue <= free else {
            throw TransferFailure(
                .full,
                "\(directory) has \(free) bytes free; the pack needs \(bytes) and \(settings.minimumFreeBytes) "
                    + "must stay free: free some space and try again")
        }
    }

    /// Gives the file its length and its space.
    private static func allocate(_ file: OpenFile, _ bytes: UInt64) throws(TransferFailure) {
        let length = try attempt { () throws(PackFailure) in UInt64(try file.status().st_size) }
        guard length <= bytes || ftruncate(file.descriptor, off_t(clamping: bytes)) == 0 else {
            throw TransferFailure(.io, "cannot resize \(file.path): error \(errno)")
        }
        guard bytes > 0 else { return }
        switch posix_fallocate(file.descriptor, 0, off_t(clamping: bytes)) {
        case 0: return
        case ENOSPC, EDQUOT:
            throw TransferFailure(
                .full, "there is no space for the \(bytes) bytes of \(file.path); free some and try again")
        case let number: throw TransferFailure(.io, "cannot take the space for \(file.path): error \(number)")
        }
    }

    /// The pieces that are there. The map is believed when this start of the machine wrote it; else what it claims is
    /// hashed, or everything where it cannot be read. The map of another pack says nothing.
    private static func restore(
        _ data: OpenFile, _ map: OpenFile, isNew: Bool, _ manifest: Manifest, _ layout: PieceLayout, bootID: String
    ) throws(TransferFailure) -> PieceSet {
        let none = PieceSet(pieceCount: layout.pieceCount)
        guard !isNew else { return none }
        let bytes = try attempt { () throws(PackFailure) in
            try map.read(PieceMap.maximumBytes(pieceCount: layout.pieceCount), at: 0)
        }
        guard let known = PieceMap.parse(bytes, pieceCount: layout.pieceCount) else {
            return try verify(.all(pieceCount: layout.pieceCount), data, manifest, layout)
        }
        guard known.root == manifest.totals.root else { return none }
        guard known.bootID != bootID || bootID.isEmpty else { return known.pieces }
        return try verify(known.pieces, data, manifest, layout)
    }

    private static func verify(
        _ claimed: PieceSet, _ data: OpenFile, _ manifest: Manifest, _ layout: PieceLayout
    ) throws(TransferFailure) -> PieceSet {
        var verified = PieceSet(pieceCount: layout.pieceCount)
        for piece in claimed.pieces {
            let bytes = try attempt { () throws(PackFailure) in
                try data.read(Int(layout.bytes(of: piece)), at: layout.range(of: piece).lowerBound)
            }
            if manifest.isPiece(bytes, piece) { verified.insert(piece) }
        }
        return verified
    }
}

/// Runs something that fails with a file's errors.
private func attempt<Value>(_ body: () throws(PackFailure) -> Value) throws(TransferFailure) -> Value {
    do throws(PackFailure) {
        return try body()
    } catch {
        throw TransferFailure(error.code == .full ? .full : .io, error.message)
    }
}
