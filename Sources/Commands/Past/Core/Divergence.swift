package import Domain

/// Where two versions of the rules came to different logs from the same commands, told event by event.
package enum Divergence {
    /// What makes an event the same in both: all but its place in its log, which everything before it moves.
    private struct Content: Hashable {
        var type: UInt16
        var payload: [UInt8]
        var actor: EventActor
        var key: String?

        init(_ frame: Frame) {
            (type, payload, actor, key) = (frame.type, frame.payload, frame.header.actor, frame.header.key)
        }
    }

    /// The differences from `ours` to `theirs`, in order. Both are decided at the recorded times, so only events of one
    /// moment are compared with each other: it costs what there is, however much differs.
    package static func between(_ ours: [Frame], _ theirs: [Frame]) -> [WhatIf.Difference] {
        var (differences, left, right) = ([WhatIf.Difference](), ours[...], theirs[...])
        while let now = [left.first?.header.time, right.first?.header.time].compactMap({ $0 }).min() {
            let (old, new) = (left.prefix { $0.header.time == now }, right.prefix { $0.header.time == now })
            (left, right) = (left.dropFirst(old.count), right.dropFirst(new.count))
            differences += atOnce(Array(old), Array(new), now)
        }
        return differences
    }

    private static func atOnce(_ ours: [Frame], _ theirs: [Frame], _ time: Timestamp) -> [WhatIf.Difference] {
        let (before, after) = (ours.map(Content.init), theirs.map(Content.init))
        guard before != after else { return [] }
        var (gone, new) = ([Frame](), [Frame]())
        for change in after.difference(from: before) {
            switch change {
            case .remove(let place, _, _): gone.append(ours[place])
            case .insert(let place, _, _): new.append(theirs[place])
            }
        }
        gone.sort { $0.header.sequence < $1.header.sequence }
        new.sort { $0.header.sequence < $1.header.sequence }
        var differences = gone.map { frame in
            guard let place = new.firstIndex(where: { $0.type == frame.type }) else {
                return WhatIf.Difference(kind: .gone, time: time, recorded: frame, other: nil, reason: "")
            }
            return WhatIf.Difference(
                kind: .changed, time: time, recorded: frame, other: new.remove(at: place), reason: "")
        }
        differences += new.map { WhatIf.Difference(kind: .new, time: time, recorded: nil, other: $0, reason: "") }
        return differences
    }
}
