import Codec
import LMDB
import Ports

/// Damage found while reading: nothing after the sequence is served.
struct DamageFound: Error {
    var afterSequence: UInt64
    var message: String
}

/// What is asked for is before the anchor.
struct BeforeAnchor: Error {}

extension StoreFailure {
    /// What anything below this room threw, as the port's failure.
    init(_ error: any Error, directory: String) {
        switch error {
        case let failure as StoreFailure: self = failure
        case let failure as LMDBFailure: self.init(failure, directory: directory)
        case let damage as DamageFound:
            self.init(
                code: "damaged",
                message:
                    "the log in \(directory) is damaged after sequence \(damage.afterSequence): \(damage.message); "
                    + "restore a backup or the archive",
                outcome: .damaged)
        case is BeforeAnchor:
            self.init(code: "archived", message: "\(directory) has no events before its anchor", outcome: .unchanged)
        case let failure as MetaFailure: self.init(failure, directory: directory)
        case let failure as FrameFailure: self.init(failure, directory: directory)
        default: self.init(code: "io", message: "\(directory): \(error)", outcome: .unchanged)
        }
    }

    private init(_ failure: LMDBFailure, directory: String) {
        let outcome: Outcome = failure.mayHaveCommitted ? .unknown : .unchanged
        switch failure.code {
        case .mapFull: self.init(code: "map-full", message: failure.message, outcome: outcome)
        case .diskFull: self.init(code: "disk-full", message: failure.message, outcome: outcome)
        case .truncated, .corrupted: self.init(code: "damaged", message: failure.message, outcome: .damaged)
        case .notAnEnvironment, .missing:
            self.init(code: "not-a-log", message: "\(directory) holds no log: \(failure.message)", outcome: .unchanged)
        case .closed: self.init(code: "closed", message: failure.message, outcome: .unchanged)
        case .io, .panic, .readersFull, .mapResized, .keyExists, .readOnly, .other:
            self.init(code: "io", message: "\(directory): \(failure.description)", outcome: outcome)
        }
    }

    /// Frames that were read; those that are written are judged before (`EncodedBatch`).
    private init(_ failure: FrameFailure, directory: String) {
        switch failure.code {
        case .unknownFormat: self.init(code: "wrong-version", message: failure.message, outcome: .unchanged)
        case .redacted: self.init(code: "redacted", message: failure.message, outcome: .unchanged)
        case .tooLarge, .length, .checksum, .text:
            self.init(code: "damaged", message: "\(directory): \(failure.message)", outcome: .damaged)
        }
    }

    private init(_ failure: MetaFailure, directory: String) {
        switch failure {
        case .missing(let key):
            self.init(
                code: "not-a-log", message: "\(directory) holds no log: its meta row '\(key.rawValue)' is missing",
                outcome: .unchanged)
        case .damaged(let key):
            self.init(
                code: "damaged",
                message: "the meta row '\(key.rawValue)' in \(directory) is damaged: restore a backup",
                outcome: .damaged)
        case .version(let version):
            self.init(
                code: "wrong-version",
                message: "the log in \(directory) has format \(version), this version knows \(MetaRows.currentFormat): "
                    + "use the newer Drover",
                outcome: .unchanged)
        }
    }
}
