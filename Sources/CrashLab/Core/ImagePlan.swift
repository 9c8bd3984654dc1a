/// Which images are made of a trace: a number of them at every step, each named by its step and variation.
package struct ImagePlan: Hashable, Sendable {
    /// Every subset is made of so many pending units, where the step's share allows it.
    package static let exhaustiveUnits = 8

    package struct Place: Hashable, Sendable, Codable {
        /// How many steps were taken.
        package var step: Int
        package var variation: Int

        package init(step: Int, variation: Int) { (self.step, self.variation) = (step, variation) }
    }

    /// Pending units after each number of steps, from none on.
    private let units: [Int]
    private let share: Int
    /// Images are made from here on.
    private let first: Int
    private let seed: UInt64

    /// About so many images, and one more at each step where nothing is uncertain.
    ///
    /// - Parameter first: how many steps were taken before what is attacked.
    package init(
        _ trace: Trace, from first: Int = 0, images: Int, seed: UInt64
    ) throws(SimulatedDisk.Impossible) {
        var (disk, units) = (SimulatedDisk(), [0])
        for step in trace.steps {
            try disk.take(step)
            units.append(disk.pendingUnits)
        }
        self.init(units: units, from: first, images: images, seed: seed)
    }

    init(units: [Int], from first: Int = 0, images: Int, seed: UInt64) {
        self.units = units
        self.first = first
        self.seed = seed
        let steps = units[first...]
        let uncertain = max(1, steps.count { $0 > 0 })
        share = max(2, (images - (steps.count - uncertain)) / uncertain)
    }

    package var steps: Int { units.count - 1 }
    package var images: Int { units.indices.reduce(0) { $0 + variations(after: $1) } }

    package func variations(after steps: Int) -> Int {
        steps < first ? 0 : units[steps] == 0 ? 1 : share
    }

    package func survival(at place: Place) -> Survival {
        let (units, variation) = (units[place.step], place.variation)
        if units == 0 || variation == 0 { return .nothing }
        if variation == 1 { return .everything }
        if units <= Self.exhaustiveUnits, 1 << units <= share - 2, variation - 1 < 1 << units - 1 {
            return .units(UInt64(variation - 1))
        }
        var numbers = SeededNumbers(seed: seed, at: UInt64(place.step), UInt64(variation))
        return .drawn(seed: numbers.next())
    }
}
