import Codec
import Domain

/// Writes one event's rows: the event itself, then what it changes.
///
/// Belongs to one connection and is used on that connection's queue alone; that is what `@unchecked` promises.
package final class RowWriter<Mapping: ViewMapping>: @unchecked Sendable {
    let tables: Mapping.Tables
    private let codec: any EventCodec<Mapping.Event>
    private let changes: [PreparedStatement]
    private let insertEvent, insertType, insertActor, findActor, insertRefusal, setPosition: PreparedStatement
    /// What this connection has written or read of the tables of names; emptied when a transaction fails.
    private var actors: [EventActor: Int64] = [:]
    private var types = [Bool]()

    private static var noTypes: [Bool] { Array(repeating: false, count: Int(UInt16.max) + 1) }

    /// Names remembered at once; more are looked up in the table again.
    private static var maximumNames: Int { 20_000 }

    /// `isNew`: the file has no rows yet.
    init(
        connection: SQLiteHandle, codec: any EventCodec<Mapping.Event>, isNew: Bool, maximumRows: Int
    ) throws(ViewsFailure) {
        self.codec = codec
        types = Self.noTypes
        tables = try Mapping.Tables(on: connection, isNew: isNew, maximumRows: maximumRows)
        var changes: [PreparedStatement] = []
        for change in Mapping.Change.allCases {
            changes.append(try PreparedStatement(Mapping.sql(of: change), on: connection))
        }
        self.changes = changes
        insertEvent = try PreparedStatement(
            "INSERT INTO event_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            on: connection)
        insertType = try PreparedStatement("INSERT OR IGNORE INTO event_types VALUES (?1, ?2)", on: connection)
        insertActor = try PreparedStatement("INSERT OR IGNORE INTO actors (name) VALUES (?1)", on: connection)
        findActor = try PreparedStatement("SELECT id FROM actors WHERE name = ?1", on: connection)
        insertRefusal = try PreparedStatement(
            "INSERT INTO refusal_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", on: connection)
        setPosition = try PreparedStatement(
            "UPDATE view_state SET log = ?1, epoch = ?2, end_sequence = ?3, chain = ?4", on: connection)
    }

    subscript(change: Mapping.Change) -> PreparedStatement { changes[change.rawValue] }

    /// Writes an event and what it changes. An informative event of an unknown type is kept as it is.
    func writeAny(
        _ header: FrameHeader, type: UInt16, schemaRevision: UInt16, _ payload: borrowing Span<UInt8>
    ) throws(ViewsFailure) {
        let event: Mapping.Event?
        do throws(CodecFailure) {
            event = try codec.decode(type: type, schemaRevision: schemaRevision, payload: payload)
        } catch {
            throw ViewsFailure(.undecodable, "event \(header.sequence): \(error.message)")
        }
        let subject = event.map { Mapping.subject(of: $0) } ?? EventSubject()
        try insert(header, type, schemaRevision, payload, subject)
        if let event { try Mapping.write(event, header, with: self) }
    }

    func write(_ position: LogPosition) throws(ViewsFailure) {
        setPosition.add(position.log.hex).add(position.epoch.rawValue).add(position.sequence.rawValue)
        guard try setPosition.add(position.chain.hex).run() == 1 else {
            throw ViewsFailure(.damaged, "the views' file has no state: rebuild it from the log")
        }
    }

    /// After a failed transaction: what was remembered may not be there.
    func forget() {
        actors = [:]
        types = Self.noTypes
        tables.forget()
    }

    /// The number that stands for an actor.
    func actor(_ actor: EventActor) throws(ViewsFailure) -> Int64 {
        if let known = actors[actor] { return known }
        try insertActor.add(actor.description).run()
        guard case .integer(let id)? = try findActor.add(actor.description).first() else {
            throw ViewsFailure(.damaged, "the views' table of actors is damaged: rebuild it from the log")
        }
        if actors.count >= Self.maximumNames { actors = [:] }
        actors[actor] = id
        return id
    }

    func write(_ event: LogEvent, _ header: FrameHeader) throws(ViewsFailure) {
        guard case .refused(let refused, let code, let count) = event else { return }
        try insertRefusal.add(header.sequence.rawValue).add(header.time.milliseconds).add(refused.job.rawValue)
            .add(refused.attempt.rawValue).add(refused.command).add(code.rawValue).add(count).run()
    }

    private func insert(
        _ header: FrameHeader, _ type: UInt16, _ schemaRevision: UInt16, _ payload: borrowing Span<UInt8>,
        _ subject: EventSubject
    ) throws(ViewsFailure) {
        if !types[Int(type)] {
            types[Int(type)] = true
            try insertType.add(UInt64(type)).add(codec.typeName(type) ?? "type-\(type)").run()
        }
        insertEvent.add(header.sequence.rawValue).add(header.epoch.rawValue).add(header.time.milliseconds)
        insertEvent.add(UInt64(type)).add(UInt64(schemaRevision)).add(try actor(header.actor))
        insertEvent.add(header.command.rawValue).add(header.cause == .zero ? nil : header.cause.rawValue)
        insertEvent.add(header.key).add(header.isDerived)
        insertEvent.add(subject.job?.rawValue).add(subject.app?.rawValue).add(subject.region?.rawValue)
        try insertEvent.add(subject.worker?.rawValue).add(subject.peer?.rawValue).add(payload).run()
    }
}
