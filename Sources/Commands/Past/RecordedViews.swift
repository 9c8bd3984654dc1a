import Codec
import Domain
import EventLog
import Foundation
import Logging
import Ports
import Views
import Wire

/// A log in files, folded into SQL views of its own in a directory that goes when it is closed.
final class RecordedViews<Mapping: ViewMapping>: AskedLog {
    let name: String
    let isRegional: Bool
    private let views: Views<Mapping>
    private let codec: any EventCodec<Mapping.Event>
    private let say: @Sendable (Mapping.Event, EventActor) -> String

    /// Begins empty views in a directory.
    init(
        _ name: String, in directory: String, codec: any EventCodec<Mapping.Event>,
        say: @escaping @Sendable (Mapping.Event, EventActor) -> String
    ) throws {
        (self.name, self.codec, self.say) = (name, codec, say)
        isRegional = Mapping.schema.kind == .regional
        let logger = Logger(label: "drover.commands") { _ in SwiftLogNoOpLogHandler() }
        views = try Views<Mapping>.open(path: directory + "/views.sqlite", codec: codec, logger: logger)
    }

    /// Folds a whole log, saying how far it has come.
    func fill(from log: EventLog, progress: (LogSequence) -> Void) throws {
        try views.catchUp(from: log) { progress($0.sequence) }
    }

    /// Folds the whole log that the body gives, batches in order, to the closure it is lent.
    func fill(from body: (_ take: ([FrameBatch]) throws(ViewsFailure) -> Void) throws -> Void) throws {
        try views.rebuild(from: body)
    }

    func close() { views.close() }

    func query(_ sql: String, at sequence: LogSequence?) async throws -> QueryAnswer {
        var limits = QueryLimits()
        limits.timeoutMilliseconds = 600_000
        do throws(ViewsFailure) {
            let result = try await views.query(sql, at: sequence, limits: limits)
            return QueryAnswer(
                columns: result.columns, rows: result.rows.map { $0.map(Self.value) }, sequence: result.sequence,
                isTruncated: result.isTruncated)
        } catch {
            let isTheirs = error.code == .badSQL || error.code == .refused || error.code == .behind
            throw CommandStop(isTheirs ? .refused : .failed, "drover: \(name): \(error.message)")
        }
    }

    func sequence(of moment: LogMoment) async throws -> LogSequence {
        let head = views.position?.sequence ?? .zero
        switch moment {
        case .sequence(let sequence):
            guard sequence <= head else {
                throw CommandStop(.refused, "drover: \(name) ends at sequence \(head), before \(sequence)")
            }
            return sequence
        case .time(let time):
            let place = try await views.place(of: time)
            guard let sequence = place.sequence, let last = place.last, time <= last else {
                let span = place.first.map { "from \($0.rfc3339) to \((place.last ?? $0).rfc3339)" } ?? "empty"
                throw CommandStop(.refused, "drover: \(name) is \(span): \(time.rfc3339) is not in it")
            }
            return sequence
        }
    }

    /// Every table and view, as text.
    func dump() async throws -> ViewDump { try await ViewDump.of(views) }

    func words(_ frame: Frame) -> String { frameWords(frame, codec, say) }

    private static func value(_ value: SQLValue) -> WireValue {
        switch value {
        case .null: .null
        case .integer(let number): .integer(number)
        case .real(let number): .real(number)
        case .text(let text): .text(text)
        case .blob(let bytes): .text(hexadecimal(bytes))
        }
    }
}
