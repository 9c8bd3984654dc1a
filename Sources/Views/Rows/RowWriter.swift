import Codec
import Domain

/// Writes one event's rows: the event itself, then what it changes.
///
/// Belongs to one connection and is used on that connection's queue alone; that is what `@unchecked` promises.
package final class RowWriter<Mapping: ViewMapping>: @unchecked Sendable {
    let connection: SQLiteHandle
    private let codec: any EventCodec<Mapping.Event>
    private let changes: [PreparedStatement]
    private let insertEvent, insertType, insertActor, findActor, insertRefusal, setPosition: PreparedStatement
    /// What this connection has written or read of the tables of names; emptied when a transaction fails.
    private var actors: [EventActor: Int64] = [:]
    private var types: Set<UInt16> = []

    /// Names remembered at once; more are looked up in the table again.
    private static var maximumNames: Int { 20_000 }

    init(connection: SQLiteHandle, codec: any EventCodec<Mapping.Event>) throws(ViewsFailure) {
        self.connection = connection
        self.codec = codec
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

    /// Writes a frame's event and what it changes. An informative event of an unknown type is kept as it is.
    func write(_ frame: Frame) throws(ViewsFailure) {
        let event: Mapping.Event?
        do throws(CodecFailure) {
            event = try codec.decode(
                type: frame.type, schemaRevision: frame.schemaRevision, payload: frame.payload)
        } catch {
            throw ViewsFailure(.undecodable, "event \(frame.header.sequence): \(error.message)")
        }
        try insert(frame, event.map { Mapping.subject(of: $0) } ?? EventSubject())
        if let event { try Mapping.write(event, frame.header, with: self) }
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
        types = []
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

    private func insert(_ frame: Frame, _ subject: EventSubject) throws(ViewsFailure) {
        let header = frame.header
        if !types.contains(frame.type) {
            types.insert(frame.type)
            try insertType.add(UInt64(frame.type)).add(codec.typeName(frame.type) ?? "type-\(frame.type)").run()
        }
        insertEvent.add(header.sequence.rawValue).add(header.epoch.rawValue).add(header.time.milliseconds)
        insertEvent.add(UInt64(frame.type)).add(UInt64(frame.schemaRevision)).add(try actor(header.actor))
        insertEvent.add(header.command.rawValue).add(header.cause == .zero ? nil : header.cause.rawValue)
        insertEvent.add(header.key).add(header.isDerived)
        insertEvent.add(subject.job?.rawValue).add(subject.app?.rawValue).add(subject.region?.rawValue)
        try insertEvent.add(subject.worker?.rawValue).add(subject.peer?.rawValue).add(frame.payload).run()
    }
}
