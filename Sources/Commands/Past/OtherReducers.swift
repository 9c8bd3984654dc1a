import Codec
import Domain
import Foundation
import Ports
import Processes

/// Another `drover`, which decides a log's commands by its own rules: a child process, fed with a file and read from one.
struct OtherReducers {
    /// How long it may take; it is ended then.
    static let timeoutSeconds = 3600.0
    /// Of the end of what it prints: its last line is looked at.
    private static let maximumOutputBytes = 1 << 16

    let program: String

    /// The log as it came to it, and the fingerprint of its reducers; nil of a version that does not say.
    struct Answer {
        var batches: [FrameBatch]
        var fingerprint: String?
    }

    /// - Parameters:
    ///   - frames: a whole log's.
    ///   - settings: `name=number` each.
    ///   - scratch: a directory for the files that go to and fro.
    func decide(_ frames: [Frame], _ settings: [String], in scratch: String) async throws -> Answer {
        let (asked, told) = (scratch + "/asked.ndjson", scratch + "/told.ndjson")
        try LogText.write(Self.batches(of: frames), to: asked)
        let run = try await run(
            ["whatif", asked, "--json", "--output", told] + settings.flatMap { ["--set", $0] })
        guard run.end == .ended(.exited(0)) else {
            let words = String(decoding: run.output.suffix(500), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            throw CommandStop(
                .failed,
                "drover: \(program) did not decide the log (\(run.end))\(words.isEmpty ? "" : ": \(words)"); "
                    + "--reducers takes a drover that knows `whatif --output`")
        }
        return Answer(
            batches: try await LogPlace.recorded(at: told), fingerprint: Self.fingerprint(in: run.output))
    }

    private func run(_ arguments: [String]) async throws -> CollectedRun {
        let path = URL(filePath: program).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw CommandStop(.refused, "drover: --reducers \(program): name another drover's executable file")
        }
        let command = SupervisedCommand(
            executable: path, arguments: arguments, environment: ProcessInfo.processInfo.environment,
            directory: FileManager.default.currentDirectoryPath)
        do {
            return try await GroupRunner().collect(
                command, limits: RunLimits(timeoutSeconds: Self.timeoutSeconds, graceSeconds: 1),
                maximumOutputBytes: Self.maximumOutputBytes)
        } catch {
            throw CommandStop(.failed, "drover: \(program) does not run: \(error)")
        }
    }

    /// The same frames as a log of its own, one batch a command: what a running system gave has no batches.
    static func batches(of frames: [Frame]) throws -> [FrameBatch] {
        var (batches, rest, end) = ([FrameBatch](), frames[...], LogPosition.start(of: .alternative(of: frames)))
        while let first = rest.first {
            let own = Array(rest.prefix { $0.header.command == first.header.command })
            rest = rest.dropFirst(own.count)
            let last = own.last?.header ?? first.header
            end = LogPosition(
                log: end.log, epoch: last.epoch, sequence: last.sequence,
                chain: try FrameCodec.chain(after: end.chain, own))
            batches.append(FrameBatch(frames: own, end: end))
        }
        return batches
    }

    /// In the last line that it printed.
    private static func fingerprint(in output: [UInt8]) -> String? {
        let line = output.split(separator: UInt8(ascii: "\n")).last { $0.first == UInt8(ascii: "{") }
        guard let line, let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
            return nil
        }
        return object["reducers"] as? String
    }
}
