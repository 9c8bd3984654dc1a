import Fleet
import Foundation
import Swarm

/// What is printed of a run. Ratios and seconds are of all machines but the stragglers, unless they say so.
struct FleetReport: Encodable {
    struct Spread: Encodable {
        var p50: Double
        var p99: Double
        var last: Double

        init?(_ values: [Double]) {
            guard let of = Percentiles(values) else { return nil }
            (p50, p99, last) = (of.p50, of.p99, of.last)
        }
    }

    var peers: Int
    var regions: Int
    var pieces: Int
    var pieceBytes: UInt64
    var seed: UInt64
    var ratio: Spread?
    var seconds: Spread?
    var stragglerRatio: Spread?
    var unfinished: Int
    /// The copies of the mirror that sent most.
    var mirrorCopies: Double
    var sentCopies: Spread?
    var wideSeconds: Double
    var wideCopies: Double
    var secondsToMostAll: Double
    var pressedToMostWithout: Double
    var pressedToMostPrestaged: Double
    var occurrences: UInt64
    var processorSeconds: Double
    var peakMemoryBytes: UInt64

    init(
        _ reports: [RegionReport], _ shapes: [RegionShape], _ wide: WideCopy, _ press: PressOptions,
        processorSeconds: Double
    ) {
        let (machines, layout) = (reports.flatMap(\.machines), shapes[0].layout)
        (peers, regions, seed) = (machines.count, shapes.count, shapes[0].seed / 1000)
        (pieces, pieceBytes) = (layout.pieceCount, layout.pieceBytes)
        let common = machines.filter { !$0.isStraggler }
        ratio = Spread(common.map { $0.ratio ?? .infinity })
        seconds = Spread(common.map { $0.seconds ?? .infinity })
        stragglerRatio = Spread(machines.filter(\.isStraggler).map { $0.ratio ?? .infinity })
        unfinished = machines.count { $0.seconds == nil }
        mirrorCopies = reports.map(\.mirrorCopies).max() ?? 0
        sentCopies = Spread(machines.map(\.sentCopies))
        (wideSeconds, wideCopies) = wide.run(layout)
        secondsToMostAll = Spread(machines.map { $0.seconds ?? .infinity })?.p99 ?? 0
        pressedToMostPrestaged = Double(press.hearing + press.healthy) / 1000
        pressedToMostWithout =
            pressedToMostPrestaged + secondsToMostAll + Double(layout.totalBytes) / (press.unpack * 1e9)
        occurrences = reports.reduce(0) { $0 + $1.handled }
        self.processorSeconds = processorSeconds
        peakMemoryBytes = Self.peakMemory()
    }

    /// Of all threads: a busy machine does not make a simulator slow.
    static func processorSeconds() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func peakMemory() -> UInt64 {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) << 10
    }

    func printJSON() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "never", negativeInfinity: "never", nan: "never")
        print(String(decoding: try encoder.encode(self), as: UTF8.self))
    }

    func printText() {
        print("\(peers) machines in \(regions) regions, \(pieces) pieces of \(pieceBytes) bytes, seed \(seed)")
        say("ratio to the bound", ratio, "%.3f")
        say("seconds", seconds, "%.2f")
        say("stragglers' ratio", stragglerRatio, "%.3f")
        say("copies that a machine sent", sentCopies, "%.2f")
        print(String(format: "a mirror sent at most %.3f copies", mirrorCopies))
        if regions > 1 {
            print(
                String(
                    format: "before the button: all regions had the pack after %.1f s; the first sent %.1f copies",
                    wideSeconds, wideCopies))
        }
        print(
            String(
                format: "from the button to 99 %% of all machines: %.1f s, prestaged %.1f s", pressedToMostWithout,
                pressedToMostPrestaged))
        if unfinished > 0 { print("\(unfinished) machines never had it") }
        print(
            String(
                format: "%llu occurrences, %.0f s of processor time, %.0f MiB", occurrences, processorSeconds,
                Double(peakMemoryBytes) / Double(1 << 20)))
    }

    private func say(_ what: String, _ spread: Spread?, _ format: String) {
        guard let spread else { return }
        let values = [spread.p50, spread.p99, spread.last].map { String(format: format, $0) }
        print("\(what): p50 \(values[0]), p99 \(values[1]), last \(values[2])")
    }
}
