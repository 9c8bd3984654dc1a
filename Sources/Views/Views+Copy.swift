import Codec
package import Domain
import Foundation
import Glibc
import Ports

/// How far an update has come.
package struct ViewProgress: Hashable, Sendable {
    package var sequence: LogSequence
    /// The log's end when the update began.
    package var goal: LogSequence
}

extension Views {
    /// Writes the store's batches behind a file's position, many in one transaction, up to the end.
    func follow(
        _ store: any LogStore, into file: ViewFile<Mapping>, goal: LogSequence, each progress: (ViewProgress) -> Void
    ) throws(ViewsFailure) {
        while true {
            if isClosed { throw .closed }
            let done = file.position?.sequence ?? .zero
            let batches = try reading { () throws(StoreFailure) in
                try store.read(after: done, maximumFrames: settings.eventsAtOnce)
            }
            if batches.isEmpty { return }
            try file.apply(batches, provingChain: true)
            progress(ViewProgress(sequence: file.position?.sequence ?? .zero, goal: goal))
        }
    }

    /// Makes a file anew, at a path where there is none yet: `fill` writes into it. Nothing is left after a failure.
    func make(
        _ path: String, filling fill: (ViewFile<Mapping>) throws(ViewsFailure) -> Void
    ) throws(ViewsFailure) {
        try Self.make(path, codec: codec, settings: settings, filling: fill)
    }

    static func make(
        _ path: String, codec: any EventCodec<Mapping.Event>, settings: ViewSettings,
        filling fill: (ViewFile<Mapping>) throws(ViewsFailure) -> Void
    ) throws(ViewsFailure) {
        try ViewFile<Mapping>.remove(path)
        let file = try ViewFile<Mapping>(path: path, mode: .bulk, codec: codec, settings: settings)
        do throws(ViewsFailure) {
            try fill(file)
            try file.finish()
            try file.close()
        } catch {
            try? file.close()
            try? ViewFile<Mapping>.remove(path)
            throw error
        }
    }

    /// Fills a new file out of a store, up to a position or the end.
    func copy(
        _ store: any LogStore, into file: ViewFile<Mapping>, upTo last: LogSequence?, goal: LogSequence,
        each progress: (ViewProgress) -> Void
    ) throws(ViewsFailure) {
        while true {
            if isClosed { throw .closed }
            if let last, file.position?.sequence ?? .zero >= last { return }
            guard try file.apply(from: store, maximumFrames: settings.eventsAtOnce, upTo: last) else { return }
            progress(ViewProgress(sequence: file.position?.sequence ?? .zero, goal: goal))
        }
    }

    /// Whether a position is one of the store's.
    func isOnChain(_ position: LogPosition, _ store: any LogStore) throws(ViewsFailure) -> Bool {
        guard position.log == store.identity else { return false }
        return try reading { () throws(StoreFailure) in try store.position(at: position.sequence) } == position
    }

    func reading<T>(_ body: () throws(StoreFailure) -> T) throws(ViewsFailure) -> T { try Self.reading(body) }

    static func reading<T>(_ body: () throws(StoreFailure) -> T) throws(ViewsFailure) -> T {
        do throws(StoreFailure) { return try body() } catch {
            throw ViewsFailure(.log, "the log cannot be read: \(error.message)")
        }
    }
}

/// Puts a finished file in another's place, durably.
func replaceFile(_ path: String, by fresh: String) throws(ViewsFailure) {
    try flush(fresh)
    guard unsafe rename(fresh, path) == 0 else {
        throw ViewsFailure(.io, "\(fresh) cannot be renamed to \(path): \(unsafe String(cString: strerror(errno)))")
    }
    try flush(URL(fileURLWithPath: path).deletingLastPathComponent().path)
}

/// Makes a file's or a directory's content durable.
private func flush(_ path: String) throws(ViewsFailure) {
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    defer { if descriptor >= 0 { Glibc.close(descriptor) } }
    guard descriptor >= 0, fsync(descriptor) == 0 else {
        throw ViewsFailure(.io, "\(path) cannot be made durable: look at the disk, then restart")
    }
}
