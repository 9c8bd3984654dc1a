package import Domain

/// How one kind of log's events become rows. What a row needs is taken from the event or from the rows before it, with
/// the reducers' own guards, so that the rows at any sequence say what the folded state says there.
package protocol ViewMapping: Sendable {
    associatedtype Event: Sendable
    associatedtype Tables: ViewTables
    /// The statements it needs beside its versioned tables, each prepared once a connection.
    associatedtype Change: CaseIterable & RawRepresentable & Sendable where Change.RawValue == Int

    static var schema: ViewSchema { get }

    /// The statement of a change.
    static func sql(of change: Change) -> String

    static func subject(of event: Event) -> EventSubject

    /// Writes what the event changes. Total: an event that makes no sense here changes nothing.
    static func write(_ event: Event, _ header: FrameHeader, with rows: RowWriter<Self>) throws(ViewsFailure)

    /// Writes one event's rows: `rows.writeAny`, called where the compiler knows both types.
    static func take(
        _ header: FrameHeader, type: UInt16, schemaRevision: UInt16, _ payload: borrowing Span<UInt8>,
        with rows: RowWriter<Self>
    ) throws(ViewsFailure)
}

/// A mapping's versioned tables, of one connection.
package protocol ViewTables: AnyObject {
    /// `isNew`: the file has no rows yet. `maximumRows`: held in memory of each table between transactions.
    init(on connection: SQLiteHandle, isNew: Bool, maximumRows: Int) throws(ViewsFailure)

    /// Writes what is held back.
    func flush() throws(ViewsFailure)

    /// `flush` of those tables that hold more than they should.
    func makeRoom() throws(ViewsFailure)

    /// Drops what is held back and what is known of the file: its transaction failed.
    func forget()
}

/// What an event is about, for the columns of `events`.
package struct EventSubject: Hashable, Sendable {
    package var job: JobID?
    package var app: AppName?
    package var region: RegionName?
    package var worker: WorkerName?
    package var peer: PeerName?

    package init(
        job: JobID? = nil, app: AppName? = nil, region: RegionName? = nil, worker: WorkerName? = nil,
        peer: PeerName? = nil
    ) {
        (self.job, self.app, self.region, self.worker, self.peer) = (job, app, region, worker, peer)
    }
}

/// Peer labels as a JSON object, keys ascending.
func labelText(_ labels: [String: String]) -> String {
    let pairs = labels.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
    return "{\(pairs.joined(separator: ","))}"
}

/// A JSON string. Labels are plain names, so it is rare that anything needs an escape.
private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": result += "\\\(scalar)"
        case _ where scalar.value < 0x20:
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
