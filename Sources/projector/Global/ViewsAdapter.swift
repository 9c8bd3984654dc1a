import API
import Codec
import Domain
import Engine
import EventLog
import Logging
import Ports
import ServiceLifecycle
import Views
import Wire

/// The SQL views as the API reads them.
struct ViewsAdapter: GlobalReads {
    let views: Views<GlobalViews>

    func waitUntil(_ sequence: LogSequence, milliseconds: Int64) async -> Bool {
        do throws(ViewsFailure) {
            try await views.waitUntil(sequence, timeoutMilliseconds: Int(milliseconds))
            return true
        } catch {
            return false
        }
    }

    func query(
        _ sql: String, arguments: [WireValue], at sequence: LogSequence?, maximumRows: Int
    ) async throws(Problem) -> QueryAnswer {
        var limits = QueryLimits()
        limits.maximumRows = maximumRows
        do throws(ViewsFailure) {
            let result = try await views.query(
                sql, arguments: arguments.map(SQLValue.init), at: sequence, limits: limits)
            return QueryAnswer(
                columns: result.columns, rows: result.rows.map { $0.map(WireValue.init) }, sequence: result.sequence)
        } catch {
            throw Problem(error)
        }
    }
}

extension SQLValue {
    init(_ value: WireValue) {
        switch value {
        case .null: self = .null
        case .integer(let value): self = .integer(value)
        case .real(let value): self = .real(value)
        case .text(let value): self = .text(value)
        }
    }
}

extension WireValue {
    init(_ value: SQLValue) {
        switch value {
        case .null: self = .null
        case .integer(let value): self = .integer(value)
        case .real(let value): self = .real(value)
        case .text(let value): self = .text(value)
        case .blob(let bytes): self = .text(hexadecimal(bytes))
        }
    }
}

extension Problem {
    init(_ failure: ViewsFailure) {
        let code: TransportCode =
            switch failure.code {
            case .badSQL, .refused, .tooSlow, .tooLarge: .badSQL
            case .behind: .viewsBehind
            case .busy: .busy
            default: .internalFailure
            }
        self.init(code, failure.message)
    }
}

/// Keeps the views at the log's durable head.
struct ViewsFollower<Mapping: ViewMapping, A: Aggregate>: Service where Mapping.Event == A.Event {
    static var retryMilliseconds: Int64 { 1000 }

    let views: Views<Mapping>
    let engine: EngineService<A>
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(ViewsFailure) {
                    let position = try await views.catchUp(from: engine.store)
                    _ = await engine.waitForChange(after: position.sequence, timeoutMilliseconds: 10_000)
                } catch {
                    logger.error("the views do not follow", metadata: ["failure": "\(error)"])
                    try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
                }
            }
        }
        views.close()
    }
}
