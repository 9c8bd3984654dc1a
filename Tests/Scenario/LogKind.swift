import Codec
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import Views

/// What tells the two kinds of log apart.
protocol LogKind: Sendable {
    associatedtype A: Aggregate
    associatedtype Mapping: ViewMapping where Mapping.Event == A.Event

    static var codec: any EventCodec<A.Event> { get }
    static var schema: ViewSchema { get }
    /// Events that made no sense in the state they met.
    static func impossible(_ state: A.State) -> UInt64
}

enum GlobalKind: LogKind {
    typealias A = Global
    typealias Mapping = GlobalViews
    static var codec: any EventCodec<GlobalEvent> { GlobalCodec() }
    static var schema: ViewSchema { .global }
    static func impossible(_ state: GlobalState) -> UInt64 { state.impossible }
}

enum RegionalKind: LogKind {
    typealias A = Regional
    typealias Mapping = RegionalViews
    static var codec: any EventCodec<RegionEvent> { RegionalCodec() }
    static var schema: ViewSchema { .regional }
    static func impossible(_ state: RegionState) -> UInt64 { state.impossible }
}

/// A check that works on both kinds.
protocol KindCheck: Sendable {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) async throws
}

extension LogKind {
    static func replay(_ batches: some Sequence<FrameBatch>, of log: LogIdentity) throws -> Replay<A> {
        var replay = Replay<A>(of: log, codec: codec)
        for batch in batches { try replay.take(batch) }
        return replay
    }

    static func openViews(_ path: String) throws -> Views<Mapping> {
        var logger = Logger(label: "scenario")
        logger.logLevel = .error
        return try Views<Mapping>.open(path: path, codec: codec, logger: logger)
    }
}

/// The batches of a log's text, each proved.
func batches(_ text: [UInt8]) throws(CodecFailure) -> [FrameBatch] {
    var (reader, batches) = (NDJSONBatches(), [FrameBatch]())
    for line in lines(text) {
        if let batch = try reader.take(line) { batches.append(batch) }
    }
    try reader.finish()
    return batches
}

/// Lines without their feeds; the last one has one too.
func lines(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
}

func text(_ lines: [ArraySlice<UInt8>]) -> [UInt8] { lines.flatMap { $0 + [UInt8(ascii: "\n")] } }

extension EventLog {
    /// A new log of these batches.
    static func made(_ directory: String, of batches: some Collection<FrameBatch>) throws -> EventLog {
        let log = try EventLog.open(directory: directory, mode: .create(identity: batches.first?.end.log))
        for batch in batches { _ = try log.append(batch.frames) }
        return log
    }
}
