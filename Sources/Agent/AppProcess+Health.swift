import AsyncHTTPClient
import Client
import Domain
import Foundation
import NIOCore
import NIOHTTP1
import Packs
import Ports
import Processes

extension AppProcess {
    static let pollMilliseconds: Int64 = 200
    static let shownOutputBytes: UInt64 = 200

    /// Nil when healthy; else what was seen last. Returns as soon as it is healthy, or when its time is over.
    func check(_ process: LaunchedProcess) async -> String? {
        let seconds = process.run.health.withinSeconds
        if case .alive = process.run.health {
            try? await Task.sleep(for: .seconds(seconds))
            return runner.isRunning(process.identity) ? nil : "it ended within \(seconds) s"
        }
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while true {
            guard runner.isRunning(process.identity) else { return "it ended before it was healthy" }
            guard let problem = await look(process) else { return nil }
            if ContinuousClock.now >= deadline || Task.isCancelled {
                return "not healthy within \(seconds) s: \(problem)"
            }
            try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
        }
    }

    /// Looks at a healthy one until so many looks in a row have failed: what was seen last. Nil when cancelled.
    func watch(_ process: LaunchedProcess) async -> String? {
        var failures = 0
        while true {
            try? await Task.sleep(for: .seconds(settings.healthSeconds))
            guard !Task.isCancelled else { return nil }
            let problem = await look(process)
            failures = problem == nil ? 0 : failures + 1
            if let problem, failures >= settings.unhealthyLooks {
                return "no longer healthy, \(failures) looks in a row: \(problem)"
            }
        }
    }

    /// One look; nil when it is healthy. Its end is told by others.
    private func look(_ process: LaunchedProcess) async -> String? {
        switch process.run.health {
        case .alive: nil
        case .command(let executable, let arguments, _): await command(executable, arguments, process)
        case .http(let path, let port, _): await http("http://127.0.0.1:\(port)\(path)")
        }
    }

    private func command(_ executable: String, _ arguments: [String], _ process: LaunchedProcess) async -> String? {
        let binary = directory.binary(app, process.launch.build)
        let command = SupervisedCommand(
            executable: resolve(executable, binary: binary),
            arguments: arguments.map { $0.replacing("$DROVER_BINARY", with: binary) },
            environment: environment(process.run, binary: binary),
            directory: directory.build(app, process.launch.build))
        do {
            let done = try await supervised.collect(
                command, limits: RunLimits(timeoutSeconds: 10, graceSeconds: 1), maximumOutputBytes: 4096)
            if done.end == .ended(.exited(0)) { return nil }
            return "\(executable): \(done.end) \(oneLine(done.output.suffix(Int(Self.shownOutputBytes))))"
        } catch {
            return "\(error)"
        }
    }

    private func http(_ url: String) async -> String? {
        do {
            let response = try await SharedHTTPClient.client.execute(HTTPClientRequest(url: url), timeout: .seconds(2))
            return (200..<300).contains(response.status.code) ? nil : "\(url) answered \(response.status.code)"
        } catch {
            return "\(url): \(error)"
        }
    }

    /// The end of what the app printed, on one line. Blocking.
    func lastOutput() -> String {
        guard let handle = FileHandle(forReadingAtPath: directory.output(app)), let end = try? handle.seekToEnd()
        else { return "" }
        try? handle.seek(toOffset: end > Self.shownOutputBytes ? end - Self.shownOutputBytes : 0)
        return oneLine((try? handle.readToEnd()) ?? Data())
    }
}

/// An app's own bytes, safe in a report, a log and a terminal: no line ends, no control characters, none that turn the
/// direction of text.
func oneLine(_ bytes: some Collection<UInt8>) -> String {
    let whole = bytes.drop { $0 & 0xc0 == 0x80 }
    let shown = String(decoding: whole, as: UTF8.self).unicodeScalars.map { scalar -> Character in
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: " "
        default: Character(scalar)
        }
    }
    return String(shown).split(separator: " ").joined(separator: " ")
}
