/// One number that was taken several times in one run, with its ratios to other numbers of the same repetitions.
struct Measurement: Encodable {
    /// The same repetition's number divided by another one's.
    struct Ratio: Encodable {
        var to: String
        var values: [Double]
        /// What it should be, in words; nil where nothing was set.
        var goal: String?
    }

    var name: String
    /// As in `commands/s`.
    var unit: String
    /// One a repetition, in their order.
    var values: [Double]
    var ratios: [Ratio] = []
    /// What else is worth knowing, in a few words.
    var note = ""

    /// Adds the ratio to another measurement of the same repetitions.
    func against(_ other: Measurement, named name: String, goal: String? = nil) -> Measurement {
        var new = self
        new.ratios.append(Ratio(to: name, values: zip(values, other.values).map { $0 / $1 }, goal: goal))
        return new
    }
}

/// The smallest, middle and largest of some numbers.
struct Spread: Encodable {
    var minimum: Double
    var median: Double
    var maximum: Double

    /// All zero where there are no numbers.
    init(_ values: [Double]) {
        let sorted = values.sorted()
        minimum = sorted.first ?? 0
        maximum = sorted.last ?? 0
        let middle = sorted.count / 2
        let isEven = sorted.count.isMultiple(of: 2)
        median = sorted.isEmpty ? 0 : isEven ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}

/// The value below which a share of the numbers lies (nearest rank); zero where there are none.
func percentile(_ share: Double, of sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return sorted[min(sorted.count - 1, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
}
