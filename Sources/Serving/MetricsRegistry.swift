package import CoreMetrics
import Foundation
import Synchronization

/// Counters, gauges and summaries in memory, and their Prometheus text. Bounded: rows beyond the limit are dropped.
package final class MetricsRegistry: MetricsFactory, Sendable {
    /// Label and dimensions: one row.
    fileprivate struct Name: Hashable, Comparable, Sendable {
        var label: String
        var dimensions: [[String]]

        static func < (left: Name, right: Name) -> Bool {
            if left.label != right.label { return left.label < right.label }
            return left.dimensions.lexicographicallyPrecedes(right.dimensions) { $0.lexicographicallyPrecedes($1) }
        }
    }

    /// Rows kept; more are dropped.
    package static let maximumRows = 20_000

    private let cells = Mutex<[Name: MetricCell]>([:])

    package init() {}

    /// Sets a gauge without labels.
    package func set(_ label: String, to value: Double) { cell(label, [], .gauge).set(value) }

    /// Adds one to a counter without labels.
    package func increment(_ label: String) { cell(label, [], .counter).increment(by: 1 as Int64) }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        cell(label, dimensions, .counter)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        cell(label, dimensions, .gauge)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        cell(label, dimensions, aggregate ? .summary : .gauge)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        cell(label, dimensions, .timer)
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func cell(_ label: String, _ dimensions: [(String, String)], _ kind: MetricCell.Kind) -> MetricCell {
        let name = Name(label: label, dimensions: dimensions.map { [$0.0, $0.1] })
        return cells.withLock { cells in
            if let known = cells[name] { return known }
            let cell = MetricCell(kind)
            if cells.count < Self.maximumRows { cells[name] = cell }
            return cell
        }
    }

    /// The Prometheus text exposition format, version 0.0.4; rows sorted.
    package var text: String {
        let rows = cells.withLock { $0 }
        var lines: [String] = []
        var family: String?
        for (name, cell) in rows.sorted(by: { $0.key < $1.key }) {
            let base = Self.plain(name.label) + cell.kind.suffix
            if base != family { lines.append("# TYPE \(base) \(cell.kind.type)") }
            family = base
            lines.append(contentsOf: cell.lines(base, Self.labels(name.dimensions)))
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// Metric and label names are letters, digits and `_`.
    private static func plain(_ text: String) -> String {
        String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    private static func labels(_ dimensions: [[String]]) -> String {
        guard !dimensions.isEmpty else { return "" }
        let pairs = dimensions.map { pair in
            let value = pair[1].replacingOccurrences(of: "\\", with: "\\\\")
                .replacingOccurrences(of: "\"", with: "\\\"").replacingOccurrences(of: "\n", with: "\\n")
            return "\(plain(pair[0]))=\"\(value)\""
        }
        return "{\(pairs.joined(separator: ","))}"
    }
}

/// One row's numbers.
private final class MetricCell: CounterHandler, MeterHandler, RecorderHandler, TimerHandler, Sendable {
    enum Kind: Sendable {
        case counter, gauge, summary, timer

        var suffix: String {
            switch self {
            case .counter: "_total"
            case .gauge, .summary: ""
            case .timer: "_seconds"
            }
        }

        var type: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .summary, .timer: "summary"
            }
        }
    }

    private struct Numbers {
        var value = 0.0
        var count: UInt64 = 0
    }

    let kind: Kind
    private let numbers = Mutex(Numbers())

    init(_ kind: Kind) { self.kind = kind }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { numbers.withLock { $0.value += amount } }
    func decrement(by amount: Double) { increment(by: -amount) }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { numbers.withLock { $0.value = value } }
    func reset() { numbers.withLock { $0 = Numbers() } }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        switch kind {
        case .counter, .gauge: set(value)
        case .summary, .timer:
            numbers.withLock { numbers in
                numbers.value += value
                numbers.count += 1
            }
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func lines(_ base: String, _ labels: String) -> [String] {
        let numbers = numbers.withLock { $0 }
        switch kind {
        case .counter, .gauge: return ["\(base)\(labels) \(numbers.value)"]
        case .summary, .timer:
            return ["\(base)_sum\(labels) \(numbers.value)", "\(base)_count\(labels) \(numbers.count)"]
        }
    }
}
