/// What happens next: occurrences by time, those of one moment in the order in which they were put in.
struct Calendar<Occurrence> {
    private struct Entry {
        var time: Int64
        var order: UInt64
        var place: Int

        func isBefore(_ other: Entry) -> Bool {
            time != other.time ? time < other.time : order < other.order
        }
    }

    /// A binary heap, the first to come at the top. It moves numbers only: occurrences stay where they were put.
    private var entries: [Entry] = []
    private var occurrences: [Occurrence?] = []
    private var free: [Int] = []
    private var order: UInt64 = 0

    var isEmpty: Bool { entries.isEmpty }

    mutating func put(_ occurrence: Occurrence, at time: Int64) {
        order += 1
        let place = keep(occurrence)
        let entry = Entry(time: time, order: order, place: place)
        entries.append(entry)
        var hole = entries.count - 1
        while hole > 0, entry.isBefore(entries[(hole - 1) / 2]) {
            entries[hole] = entries[(hole - 1) / 2]
            hole = (hole - 1) / 2
        }
        entries[hole] = entry
    }

    private mutating func keep(_ occurrence: Occurrence) -> Int {
        if let place = free.popLast() {
            occurrences[place] = occurrence
            return place
        }
        occurrences.append(occurrence)
        return occurrences.count - 1
    }

    mutating func next() -> (time: Int64, Occurrence)? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        if !entries.isEmpty { sink(last) }
        guard let occurrence = occurrences[first.place].take() else { preconditionFailure("taken twice") }
        free.append(first.place)
        return (first.time, occurrence)
    }

    /// Lets an entry down from the top.
    private mutating func sink(_ entry: Entry) {
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < entries.count else { break }
            if child + 1 < entries.count, entries[child + 1].isBefore(entries[child]) { child += 1 }
            guard entries[child].isBefore(entry) else { break }
            entries[hole] = entries[child]
            hole = child
        }
        entries[hole] = entry
    }
}
