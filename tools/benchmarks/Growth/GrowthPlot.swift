import Foundation

/// The two costs over the log's length, which is drawn by its logarithm.
struct GrowthPlot {
    let points: [GrowthPoint]

    private static let (width, height, margin) = (640.0, 320.0, 56.0)

    var svg: String {
        let most = points.map { max($0.writtenNanoseconds, $0.replayedNanoseconds) }.max() ?? 1
        // A round number above all of them.
        let step = pow(10, floor(log10(max(most, 1))))
        let top = (most / step).rounded(.up) * step
        let lines = [0, top / 2, top].map { grid($0, top: top) } + points.map(tick)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.width))" height="\(Int(Self.height))" \
            font-family="sans-serif" font-size="11">
            <rect width="100%" height="100%" fill="white"/>
            \(lines.joined(separator: "\n"))
            \(line(points.map(\.writtenNanoseconds), top: top, colour: "#1f6feb", name: "written (decided to durable)"))
            \(line(points.map(\.replayedNanoseconds), top: top, colour: "#d1242f", name: "replayed", place: 1))
            <text x="\(Int(Self.margin))" y="16">processor ns an event, by the log's length in events</text>
            </svg>

            """
    }

    private func x(_ index: Int) -> Double {
        let logarithms = points.map { log10(Double($0.events)) }
        guard let first = logarithms.first, let last = logarithms.last, last > first else { return Self.margin }
        return Self.margin + (logarithms[index] - first) / (last - first) * (Self.width - 2 * Self.margin)
    }

    private func y(_ value: Double, top: Double) -> Double {
        Self.height - Self.margin - value / top * (Self.height - 2 * Self.margin)
    }

    private func grid(_ value: Double, top: Double) -> String {
        let height = y(value, top: top)
        return """
            <line x1="\(Self.margin)" x2="\(Self.width - Self.margin)" y1="\(height)" y2="\(height)" stroke="#ddd"/>\
            <text x="8" y="\(height + 4)">\(number(value))</text>
            """
    }

    private func tick(_ point: GrowthPoint) -> String {
        let index = points.firstIndex { $0.events == point.events } ?? 0
        let label = point.events >= 1_000_000 ? "\(point.events / 1_000_000)M" : "\(point.events / 1000)k"
        return "<text x=\"\(x(index) - 10)\" y=\"\(Self.height - Self.margin + 16)\">\(label)</text>"
    }

    private func line(_ values: [Double], top: Double, colour: String, name: String, place: Int = 0) -> String {
        let places = values.indices.map { "\(number(x($0))),\(number(y(values[$0], top: top)))" }
        return """
            <polyline fill="none" stroke="\(colour)" stroke-width="2" points="\(places.joined(separator: " "))"/>\
            <text x="\(Self.margin + Double(place) * 220)" y="\(Self.height - 12)" fill="\(colour)">\(name)</text>
            """
    }
}
