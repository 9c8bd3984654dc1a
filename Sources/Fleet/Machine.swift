internal import Swarm

/// What one machine is like.
struct Machine {
    var bytesPerSecond: UInt64
    var diskBytesPerSecond: UInt64
    var isStraggler: Bool

    /// Exactly so many of each kind as their shares say, in an order by chance.
    static func all(_ shape: RegionShape, _ generator: inout SeededGenerator) -> [Machine] {
        let rates = mixed(shape.links.map { ($0.bytesPerSecond, $0.percent / 100) }, shape.peers, &generator)
        let isStraggler = mixed([(true, shape.stragglers), (false, 1 - shape.stragglers)], shape.peers, &generator)
        let disks = mixed(
            [(shape.slowDiskBytesPerSecond, shape.slowDisks), (shape.diskBytesPerSecond, 1 - shape.slowDisks)],
            shape.peers, &generator)
        return (0..<shape.peers).map { index in
            Machine(
                bytesPerSecond: isStraggler[index] ? max(1, rates[index] / 10) : rates[index],
                diskBytesPerSecond: disks[index], isStraggler: isStraggler[index])
        }
    }

    private static func mixed<Value>(
        _ kinds: [(Value, share: Double)], _ count: Int, _ generator: inout SeededGenerator
    ) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(count)
        var share = 0.0
        for (value, part) in kinds {
            share += part
            while values.count < min(count, Int((share * Double(count)).rounded())) { values.append(value) }
        }
        while values.count < count, let last = kinds.last { values.append(last.0) }
        for place in values.indices.dropLast() {
            values.swapAt(place, place + generator.below(values.count - place))
        }
        return values
    }
}
