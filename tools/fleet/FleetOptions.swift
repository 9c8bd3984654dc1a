import ArgumentParser
import Fleet
import Foundation
import Swarm

struct FleetOptions: ParsableArguments {
    @Option(help: "Machines, all regions together.") var peers = 1000
    @Option(help: "Regions, of equal size.") var regions = 1
    @Option(help: "Bytes of the pack: 10GB, 64MB, 500KB or a number.") var size = ByteCount(bytes: 10_000_000_000)
    @Option(help: "Links of the machines: 10, or a mix as RATE:PERCENT,... (1:10,10:60,25:30).")
    var link = LinkMix(links: [(10, 100)])
    @Option(help: "The mirror's link (default: the fastest of the machines').") var mirror: Double?
    @Option(help: "Uploads that a mirror gives at once.") var mirrorSlots = 64
    @Option(help: "Machines in a rack, which are near each other; 0: no racks.") var rack = 0
    @Option(help: "A rack's link to the others, each way (default: a quarter of its machines' links).")
    var rackLink: Double?
    @Option(help: "Percent of machines with a tenth of their link.") var stragglers = 1.0
    @Option(help: "Percent of machines whose disks write 400 MB/s instead of 3 GB/s.") var slowDisks = 0.0
    @Option(help: "Percent of machines that vanish once, for two seconds.") var churn = 0.0
    @Option(
        help: "Percent that frames and headers add on every wire (4.6: Ethernet's usual packets); not in the bound.")
    var framing = 0.0
    @Option(help: "Between two regions, each way.") var wan = 10.0
    @Option(help: "From one region to another, in ms.") var wanDelay: Int64 = 75
    @Option(help: "All chance follows from it.") var seed: UInt64 = 1
    @Option(help: "Uploads that a machine gives at once.") var uploads = 8

    func validate() throws {
        guard peers >= 1, regions >= 1, peers >= regions else { throw ValidationError("a region needs a machine") }
        guard size.bytes > 0, size.bytes <= 16 << 34 else { throw ValidationError("--size is 1 to 256 GiB") }
        for share in [stragglers, slowDisks, churn, framing] where !(0...100).contains(share) {
            throw ValidationError("percentages are 0 to 100")
        }
        guard wan > 0, mirror ?? 1 > 0, rackLink ?? 1 > 0, mirrorSlots > 0, rack >= 0, wanDelay >= 0 else {
            throw ValidationError("rates and slots are greater than zero")
        }
    }

    static func bytesPerSecond(_ gigabits: Double) -> UInt64 { UInt64(max(1, gigabits * 1e9 / 8)) }

    func shapes() throws -> [RegionShape] {
        let fastest = link.links.map(\.gigabits).max() ?? 10
        return (0..<regions).map { region in
            let count = peers / regions + (region < peers % regions ? 1 : 0)
            var shape = RegionShape(
                peers: count, packBytes: size.bytes,
                links: link.links.map {
                    LinkShare(bytesPerSecond: Self.bytesPerSecond($0.gigabits), percent: $0.percent)
                }, mirrorBytesPerSecond: Self.bytesPerSecond(mirror ?? fastest), seed: seed &* 1000 &+ UInt64(region))
            (shape.mirrorSlots, shape.rackPeers) = (mirrorSlots, rack)
            shape.uploadSlots = uploads
            shape.rackBytesPerSecond = Self.bytesPerSecond(rackLink ?? link.mean * Double(rack) / 4)
            (shape.stragglers, shape.slowDisks, shape.churn) = (stragglers / 100, slowDisks / 100, churn / 100)
            shape.framing = framing / 100
            return shape
        }
    }

    var wideCopy: WideCopy {
        WideCopy(regions: regions, bytesPerSecond: Self.bytesPerSecond(wan), delayMilliseconds: wanDelay)
    }
}

/// What lies between the button and a machine that runs, besides the transfer.
struct PressOptions: ParsableArguments {
    @Option(help: "From the button until a machine hears of it, in ms: commit, feed, held question.")
    var hearing: Int64 = 250
    @Option(help: "Raw bytes that a machine unpacks and checks a second, in GB.") var unpack = 2.0
    @Option(help: "From the start of the program until it counts as healthy, in ms.") var healthy: Int64 = 2_000

    func validate() throws {
        guard hearing >= 0, healthy >= 0, unpack > 0 else { throw ValidationError("times and rates are not negative") }
    }
}

/// 10GB, 64MB, 500KB or a number.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible {
    var bytes: UInt64

    init(bytes: UInt64) { self.bytes = bytes }

    init?(argument: String) {
        let units: [(String, Double)] = [("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1), ("", 1)]
        for (unit, factor) in units where argument.hasSuffix(unit) {
            guard let number = Double(argument.dropLast(unit.count)), number >= 0, number * factor < 1e15 else {
                return nil
            }
            bytes = UInt64(number * factor)
            return
        }
        return nil
    }

    var description: String { bytes.isMultiple(of: 1_000_000_000) ? "\(bytes / 1_000_000_000)GB" : "\(bytes)" }
    var defaultValueDescription: String { description }
}

/// 10, or 1:10,10:60,25:30: Gbit/s and percent.
struct LinkMix: ExpressibleByArgument, CustomStringConvertible {
    var links: [(gigabits: Double, percent: Double)]

    init(links: [(Double, Double)]) { self.links = links }

    init?(argument: String) {
        links = []
        let parts = argument.split(separator: ",")
        for part in parts {
            let words = part.split(separator: ":")
            guard let rate = words.first.flatMap({ Double($0) }), rate > 0, rate <= 1000 else { return nil }
            switch words.count {
            case 1 where parts.count == 1: links.append((rate, 100))
            case 2:
                guard let percent = Double(words[1]), percent > 0 else { return nil }
                links.append((rate, percent))
            default: return nil
            }
        }
        guard abs(links.reduce(0) { $0 + $1.percent } - 100) < 0.01 else { return nil }
    }

    var mean: Double { links.reduce(0) { $0 + $1.gigabits * $1.percent / 100 } }
    var description: String { links.map { "\($0.gigabits):\($0.percent)" }.joined(separator: ",") }
    var defaultValueDescription: String { description }
}
