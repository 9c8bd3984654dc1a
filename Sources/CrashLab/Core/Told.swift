package import Domain

/// What a workload told the outside about its commands: the promises that a crash must not break.
package struct Told: Hashable, Sendable {
    /// One answered command: it is in the log at or before a position.
    package struct Answer: Hashable, Sendable {
        package var sequence: LogSequence
        package var chain: Digest
        /// Which command.
        package var number: Int
        /// The job that an enqueue made; nil for other commands.
        package var job: JobID?
    }

    package var isReady = false
    package var answers: [Answer] = []
    /// Commands whose answer was that nothing was written.
    package var failed: [Int] = []
    /// Commands whose outcome was not known.
    package var unknown: [Int] = []
    /// Where verbs said that they came to, in their order.
    package var done: [LogSequence] = []
    /// It ended by itself, with everything answered.
    package var isEnded = false
    /// Lines that are none of its words: a crash's last ones, perhaps.
    package var other: [String] = []

    package init() {}

    package init(_ bytes: some Sequence<UInt8>) {
        var line: [UInt8] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                take(String(decoding: line, as: UTF8.self))
                line.removeAll(keepingCapacity: true)
            } else {
                line.append(byte)
            }
        }
    }

    package mutating func take(_ line: String) {
        if let end = Self.end(line) { return done.append(end) }
        let words = line.split(separator: " ").map(String.init)
        switch words.first {
        case "ready" where words.count == 1: isReady = true
        case "end" where words.count == 1: isEnded = true
        case "answer": if let answer = Self.answer(words) { answers.append(answer) } else { other.append(line) }
        case "failed": failed += words.last.flatMap { Int($0) }.map { [$0] } ?? []
        case "unknown": unknown += words.last.flatMap { Int($0) }.map { [$0] } ?? []
        case _: other.append(line)
        }
    }

    /// Out of the one line of JSON that a verb ends with.
    private static func end(_ line: String) -> LogSequence? {
        guard line.hasPrefix("{"), line.hasSuffix("}") else { return nil }
        let field = line.split { $0 == "{" || $0 == "," || $0 == "}" }.first { $0.hasPrefix("\"sequence\":") }
        return field.flatMap { LogSequence(String($0.drop { $0 != ":" }.dropFirst())) }
    }

    private static func answer(_ words: [String]) -> Answer? {
        guard words.count == 5, let sequence = LogSequence(words[1]), let chain = Digest(hex: words[2]),
            let number = Int(words[3])
        else { return nil }
        return Answer(sequence: sequence, chain: chain, number: number, job: JobID(words[4]))
    }

    package static func line(_ answer: Answer) -> String {
        "answer \(answer.sequence) \(answer.chain.hex) \(answer.number) \(answer.job.map { "\($0)" } ?? "-")"
    }

    /// Everything that is answered is in the log up to here.
    package var furthest: Answer? { answers.max { $0.sequence < $1.sequence } }
}
