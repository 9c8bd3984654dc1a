import Foundation

/// What one subcommand measured, where and when: a table for people, or JSON.
struct Report: Encodable {
    var title: String
    var machine = Machine()
    var repetitions: Int
    var measurements: [Measurement] = []
    /// Sentences under the table.
    var notes: [String] = []

    init(_ title: String, repetitions: Int) { (self.title, self.repetitions) = (title, repetitions) }

    mutating func print(asJSON isJSON: Bool) throws {
        machine.finish()
        guard isJSON else { return Swift.print(text) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        Swift.print(String(decoding: try encoder.encode(self), as: UTF8.self))
    }

    private var text: String {
        var rows = [["what", "min", "median", "max", "unit", "ratio (median, min-max)"]]
        for measurement in measurements {
            let spread = Spread(measurement.values)
            let ratios = measurement.ratios.map { ratio in
                let spread = Spread(ratio.values)
                let range = ratio.values.count > 1 ? " (\(number(spread.minimum))-\(number(spread.maximum)))" : ""
                let goal = ratio.goal.map { ", goal \($0)" } ?? ""
                return "\(number(spread.median)) of \(ratio.to)\(range)\(goal)"
            }
            let remarks = ratios + (measurement.note.isEmpty ? [] : [measurement.note])
            rows.append([
                measurement.name, number(spread.minimum), number(spread.median), number(spread.maximum),
                measurement.unit, remarks.joined(separator: "; "),
            ])
        }
        return ([title, machine.text, "repetitions: \(repetitions)", "", table(rows)] + notes).joined(separator: "\n")
    }

    private func table(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return (1...3).contains(column) ? padding + row[column] : row[column] + padding
            }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}

/// Three digits that mean something: `48213`, `7.42`, `0.0312`.
func number(_ value: Double) -> String {
    let magnitude = abs(value)
    let digits = magnitude >= 100 || magnitude == 0 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
    return String(format: "%.\(digits)f", value)
}
