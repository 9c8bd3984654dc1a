/// The values at some places of a sorted list.
package struct Percentiles: Hashable, Sendable {
    package var p50: Double
    package var p99: Double
    package var last: Double

    /// Nil of nothing. What never came is infinite.
    package init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        func at(_ share: Double) -> Double {
            sorted[min(sorted.count - 1, max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))]
        }
        (p50, p99, last) = (at(0.5), at(0.99), at(1))
    }
}
