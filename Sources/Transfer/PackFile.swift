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
        let data: FileHandle
        let map: FileHandle
        var verified: PieceSet
        var isFinished = false
    }

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
        let data = try Self.open(partialPath)
        let map = try Self.open(partialPath + ".pieces")
        try Self.allocate(data, layout.totalBytes, partialPath)
        let verified = try Self.restore(data, map, isNew: isNew, manifest, layout, bootID: bootID)
        let state = State(data: data, map: map, verified: verified)
        self.state = Mutex(state)
        try access { state throws(TransferFailure) in try self.record(state) }
    }

    package var verified: PieceSet { state.withLock { $0.verified } }
    package var isComplete: Bool { verified.isComplete }

    /// Hashes a piece and writes it. False, and nothing written, when the bytes are not the piece.
    package func accept(_ bytes: [UInt8], piece: Int) throws(TransferFailure) -> Bool {
        guard manifest.isPiece(bytes, piece) else { return false }
        let offset = layout.range(of: piece).lowerBound
        let path = partialPath
        try access { state throws(TransferFailure) in
            try attempt("write", path) {
                try state.data.seek(toOffset: offset)
                try state.data.write(contentsOf: bytes)
            }
            state.verified.insert(piece)
            try self.record(state)
        }
        return true
    }

    /// Makes the whole file durable and gives it its final name. Done before: nothing.
    package func finish() throws(TransferFailure) {
        let (partial, final) = (partialPath, finalPath)
        try access { state throws(TransferFailure) in
            guard !state.isFinished else { return }
            guard state.verified.isComplete else {
                throw TransferFailure(.io, "\(partial) is not whole; fetch on")
            }
            try attempt("flush", partial) { try state.data.synchronize() }
            try attempt("move", partial) {
                if FileManager.default.fileExists(atPath: final) { try FileManager.default.removeItem(atPath: final) }
                try FileManager.default.moveItem(atPath: partial, toPath: final)
            }
            state.isFinished = true
            try? FileManager.default.removeItem(atPath: partial + ".pieces")
            try attempt("flush the directory of", final) {
                let directory = URL(fileURLWithPath: final).deletingLastPathComponent()
                try FileHandle(forReadingFrom: directory).synchronize()
            }
        }
    }

    /// Takes the partial file away: the pack is not wanted any more.
    package static func remove(finalPath: String) {
        try? FileManager.default.removeItem(atPath: finalPath + ".partial.pieces")
        try? FileManager.default.removeItem(atPath: finalPath + ".partial")
    }

    private func record(_ state: State) throws(TransferFailure) {
        let map = PieceMap(root: manifest.totals.root, bootID: bootID, pieces: state.verified)
        try attempt("write", partialPath + ".pieces") {
            try state.map.seek(toOffset: 0)
            try state.map.write(contentsOf: map.bytes)
        }
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
    private static func open(_ path: String) throws(TransferFailure) -> FileHandle {
        try attempt("open", path) {
            if !FileManager.default.fileExists(atPath: path) {
                let isMade = FileManager.default.createFile(
                    atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
                guard isMade else { throw CocoaError(.fileWriteUnknown) }
            }
            return try FileHandle(forUpdating: URL(fileURLWithPath: path))
        }
    }

    private static func checkFree(
        _ bytes: UInt64, beside path: String, _ settings: PackFileSettings
    ) throws(TransferFailure) {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let attributes = try attempt("look at", directory) {
            try FileManager.default.attributesOfFileSystem(forPath: directory)
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
    private static func allocate(_ file: FileHandle, _ bytes: UInt64, _ path: String) throws(TransferFailure) {
        try attempt("resize", path) {
            if try file.seekToEnd() > bytes { try file.truncate(atOffset: bytes) }
        }
        guard bytes > 0 else { return }
        switch posix_fallocate(file.fileDescriptor, 0, off_t(clamping: bytes)) {
        case 0: return
        case ENOSPC, EDQUOT:
            throw TransferFailure(.full, "there is no space for the \(bytes) bytes of \(path); free some and try again")
        case let number: throw TransferFailure(.io, "cannot take the space for \(path): error \(number)")
        }
    }

    /// The pieces that are there. The map is believed when this start of the machine wrote it; else what it claims is
    /// hashed, or everything where it cannot be read. The map of another pack says nothing.
    private static func restore(
        _ data: FileHandle, _ map: FileHandle, isNew: Bool, _ manifest: Manifest, _ layout: PieceLayout, bootID: String
    ) throws(TransferFailure) -> PieceSet {
        let none = PieceSet(pieceCount: layout.pieceCount)
        guard !isNew else { return none }
        let bytes = try attempt("read the map of", manifest.packName.description) { try map.readToEnd() ?? Data() }
        guard let known = PieceMap.parse(Array(bytes), pieceCount: layout.pieceCount) else {
            return try verify(.all(pieceCount: layout.pieceCount), data, manifest, layout)
        }
        guard known.root == manifest.totals.root else { return none }
        guard known.bootID != bootID || bootID.isEmpty else { return known.pieces }
        return try verify(known.pieces, data, manifest, layout)
    }

    private static func verify(
        _ claimed: PieceSet, _ data: FileHandle, _ manifest: Manifest, _ layout: PieceLayout
    ) throws(TransferFailure) -> PieceSet {
        var verified = PieceSet(pieceCount: layout.pieceCount)
        for piece in claimed.pieces {
            let bytes = try attempt("read a piece of", manifest.packName.description) {
                try data.seek(toOffset: layout.range(of: piece).lowerBound)
                return try data.read(upToCount: Int(layout.bytes(of: piece))) ?? Data()
            }
            if manifest.isPiece(Array(bytes), piece) { verified.insert(piece) }
        }
        return verified
    }
}

/// Runs something that fails with Foundation's errors.
private func attempt<Value>(
    _ verb: String, _ path: String, _ body: () throws -> Value
) throws(TransferFailure) -> Value {
    do {
        return try body()
    } catch {
        throw transferFailure(verb, path, error)
    }
}

private func transferFailure(_ verb: String, _ path: String, _ error: any Error) -> TransferFailure {
    let isFull = (error as? CocoaError)?.code == .fileWriteOutOfSpace
    return isFull
        ? TransferFailure(.full, "cannot \(verb) \(path): no space left; free some and try again")
        : TransferFailure(.io, "cannot \(verb) \(path): \(error.localizedDescription)")
}
