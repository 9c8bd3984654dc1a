import Foundation
import Testing

@Suite struct LengthTests {
    static let maximumFileLines = 600
    static let maximumFunctionLines = 70
    /// The longest function that stands today is shorter than the limit; half of all are this short.
    static let maximumMedianFunctionLines = 14

    @Test func filesAreShort() throws {
        for source in try Tree.sources(below: "Sources") where !source.isGenerated {
            #expect(source.lines.count <= Self.maximumFileLines, "\(source.path) has \(source.lines.count) lines")
        }
    }

    @Test func functionsAreShort() throws {
        var lengths: [Int] = []
        for source in try Tree.sources(below: "Sources") where !source.isGenerated {
            for (name, length) in Self.functions(source.code) {
                lengths.append(length)
                #expect(length <= Self.maximumFunctionLines, "\(source.path): \(name) has \(length) lines")
            }
        }
        lengths.sort()
        let median = try #require(lengths.isEmpty ? nil : lengths[lengths.count / 2])
        #expect(median <= Self.maximumMedianFunctionLines)
    }

    /// The check can fail: a function of 100 lines is measured as one.
    @Test func aLongFunctionIsSeen() {
        let lines = ["    func long() {"] + Array(repeating: "        work()", count: 98) + ["    }"]
        let found = Self.functions(lines.map { Substring($0) })
        #expect(found.map(\.1) == [100])
    }

    /// Functions and initialisers with bodies, by indentation: formatted code closes a body where its line began.
    static func functions(_ lines: [Substring]) -> [(String, Int)] {
        var found: [(String, Int)] = []
        for (index, line) in lines.enumerated() {
            guard line.contains(/^ *(?:@\w+ )*(?:\w+ )*(?:func \w+|init[?]?)[(<]/) else { continue }
            let indent = String(line.prefix { $0 == " " })
            if line.hasSuffix("}") { continue }
            guard
                let end = lines[(index + 1)...].firstIndex(where: { $0 == "\(indent)}" || $0.hasPrefix("\(indent)} ") })
            else { continue }
            let next = lines[(index + 1)..<end].firstIndex {
                $0.hasPrefix("\(indent)func ") || $0.hasPrefix("\(indent)package ")
            }
            if next == nil { found.append((line.trimmingCharacters(in: .whitespaces), end - index + 1)) }
        }
        return found
    }
}
