import CLMDB
import Glibc

/// What LMDB or the file system said, and what is known of a transaction's effect.
package struct LMDBFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// The map reached `maximumMapBytes`.
        case mapFull = "map-full"
        /// Another process grew the map; the wrapper follows by itself, so this is only seen when it cannot.
        case mapResized = "map-resized"
        /// A write of the meta page failed: nothing works until `reopen`.
        case panic
        case readersFull = "readers-full"
        case diskFull = "disk-full"
        case io
        /// The file is shorter than its own meta page says: mapping it would end in SIGBUS.
        case truncated
        case notAnEnvironment = "not-an-environment"
        case missing
        case corrupted
        case keyExists = "key-exists"
        case closed
        /// The environment is open for reading only.
        case readOnly = "read-only"
        case other
    }

    package var code: Code
    /// One sentence that says what is so and what to do.
    package var message: String
    /// LMDB's own code (negative), or an errno; 0 where neither was involved.
    package var number: Int32
    /// A commit failed so late that it may be durable all the same: reopen and compare.
    package var mayHaveCommitted = false

    package init(_ code: Code, _ message: String, number: Int32 = 0) {
        (self.code, self.message, self.number) = (code, message, number)
    }

    /// What `call` returned, in words.
    init(number: Int32, call: String) {
        let reason = unsafe String(cString: mdb_strerror(number))
        self.init(Self.code(of: number), "\(call): \(reason); \(Self.advice(Self.code(of: number)))", number: number)
    }

    package var description: String { "\(message) [\(code.rawValue), \(number)]" }

    private static func code(of number: Int32) -> Code {
        switch number {
        case MDB_MAP_FULL: .mapFull
        case MDB_MAP_RESIZED: .mapResized
        case MDB_PANIC: .panic
        case MDB_READERS_FULL: .readersFull
        case ENOSPC, EDQUOT, EFBIG: .diskFull
        case EIO, EBADF: .io
        case MDB_INVALID, MDB_VERSION_MISMATCH: .notAnEnvironment
        case ENOENT, MDB_NOTFOUND: .missing
        case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_BAD_TXN, MDB_INCOMPATIBLE: .corrupted
        case MDB_KEYEXIST: .keyExists
        case EACCES, EROFS: .readOnly
        default: .other
        }
    }

    private static func advice(_ code: Code) -> String {
        switch code {
        case .mapFull: "raise the environment's maximumMapBytes"
        case .mapResized: "reopen the environment"
        case .panic: "reopen the environment and compare its end with what was written"
        case .readersFull: "end readers that hang, or raise maximumReaders"
        case .diskFull: "free space on its disk and try again"
        case .io: "look at the disk; reopen the environment before going on"
        case .truncated, .corrupted: "restore it from a backup"
        case .notAnEnvironment: "name the directory of an LMDB environment of format 0.9"
        case .missing: "check the path"
        case .keyExists: "append keys in growing order only"
        case .closed: "open it again"
        case .readOnly: "check who may write there"
        case .other: "see the number for LMDB's own code or errno"
        }
    }
}

/// Throws what a call returned, unless it succeeded.
func check(_ number: Int32, _ call: String) throws(LMDBFailure) {
    if number != MDB_SUCCESS { throw LMDBFailure(number: number, call: call) }
}
