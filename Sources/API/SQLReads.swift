package import Domain
package import Views
package import Wire

/// The views of the global log, in the words of the wire.
package struct SQLReads: GlobalReads {
    private let views: Views<GlobalViews>

    package init(_ views: Views<GlobalViews>) { self.views = views }

    package var areOutdated: Bool { views.isOutdated }

    package func waitUntil(_ sequence: LogSequence, milliseconds: Int64) async throws(Problem) -> Bool {
        do throws(ViewsFailure) {
            try await views.waitUntil(sequence, timeoutMilliseconds: Int(clamping: milliseconds))
            return true
        } catch {
            if error.code == .behind { return false }
            throw Self.problem(error)
        }
    }

    package func query(
        _ sql: String, arguments: [WireValue], at sequence: LogSequence?, maximumRows: Int
    ) async throws(Problem) -> QueryAnswer {
        var limits = QueryLimits()
        limits.maximumRows = maximumRows
        do throws(ViewsFailure) {
            let result = try await views.query(
                sql, arguments: arguments.map(Self.value), at: sequence, limits: limits)
            return QueryAnswer(
                columns: result.columns, rows: result.rows.map { $0.map(Self.value) }, sequence: result.sequence,
                isTruncated: result.isTruncated)
        } catch {
            throw Self.problem(error)
        }
    }

    package func place(of time: Timestamp) async throws(Problem) -> TimePlace {
        do throws(ViewsFailure) { return try await views.place(of: time) } catch { throw Self.problem(error) }
    }

    private static func value(_ value: WireValue) -> SQLValue {
        switch value {
        case .null: .null
        case .integer(let number): .integer(number)
        case .real(let number): .real(number)
        case .text(let text): .text(text)
        }
    }

    private static func value(_ value: SQLValue) -> WireValue {
        switch value {
        case .null: .null
        case .integer(let number): .integer(number)
        case .real(let number): .real(number)
        case .text(let text): .text(text)
        case .blob(let bytes): .text(hexadecimal(bytes))
        }
    }

    private static func problem(_ failure: ViewsFailure) -> Problem {
        switch failure.code {
        case .badSQL, .refused, .tooSlow: Problem(.badSQL, failure.message)
        case .tooLarge: Problem(.tooLarge, failure.message)
        case .behind, .forked: Problem(.viewsBehind, failure.message)
        case .busy, .cancelled: Problem(.busy, failure.message)
        case .closed: Problem(.notReady, failure.message)
        case .damaged, .outdated, .undecodable, .log, .io: Problem(.internalFailure, failure.message)
        }
    }
}
