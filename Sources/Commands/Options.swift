import ArgumentParser
import Client
import Domain
import Foundation
import Wire

/// Which system to talk to, as whom, and how to print.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The global process (default: DROVER_SERVER, else the local one).", valueName: "url"))
    var server: String?

    @Flag(help: "Print JSON: one object, or one a line when watching.")
    var json = false

    static let localServer = "http://127.0.0.1:7070"

    func client() throws -> GlobalClient { try Self.client(at: server) }

    /// The system at a URL; nil for DROVER_SERVER's, else the local one.
    static func client(at server: String?) throws -> GlobalClient {
        let text = server ?? ProcessInfo.processInfo.environment["DROVER_SERVER"] ?? localServer
        guard let url = URL(string: text), url.scheme == "http" || url.scheme == "https", url.host() != nil else {
            throw CommandStop(.refused, "drover: \"\(text)\" is no server: write a URL such as \(localServer)")
        }
        let endpoint = text.hasSuffix("/") ? String(text.dropLast()) : text
        return GlobalClient(endpoint: endpoint, actor: .person(person))
    }

    /// Who asks: the login name, as far as it fits.
    static var person: String {
        let name = ProcessInfo.processInfo.environment["DROVER_ACTOR"] ?? NSUserName()
        let plain = String(name.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7f }.prefix(maximumNameBytes))
        return plain.isEmpty ? "anonymous" : plain
    }
}

/// As of which moment a read is answered.
struct PastOptions: ParsableArguments {
    @Option(help: ArgumentHelp("As it was then: a sequence, or a time in UTC.", valueName: "sequence or time"))
    var at: LogMoment?

    /// Says on standard error which sequence was meant.
    func say(_ sequence: LogSequence) {
        if at != nil { Terminal.complain("as of sequence \(sequence)") }
    }
}

/// How long to wait for what was asked to be done.
struct WaitOptions: ParsableArguments {
    @Flag(help: "Wait until it is done, and say by the exit code how it ended.")
    var wait = false

    @Option(help: ArgumentHelp("Stop waiting after this long (exit 124; it still runs).", valueName: "seconds or 3m"))
    var timeout: String?

    /// When to stop waiting; nil for never.
    func deadline() throws -> ContinuousClock.Instant? {
        guard let timeout else { return nil }
        if let seconds = plainDecimal(timeout), seconds < 10_000_000 {
            return ContinuousClock.now.advanced(by: .seconds(Int64(seconds)))
        }
        guard let duration = WireDuration(timeout) else {
            throw CommandStop(
                .refused, "drover: --timeout is \"\(timeout)\": write seconds, or a duration such as 90s or 3m")
        }
        return ContinuousClock.now.advanced(by: .milliseconds(duration.milliseconds))
    }
}

/// One wait of a long poll, ending at the deadline at the latest.
func pollWait(_ deadline: ContinuousClock.Instant?, atMost milliseconds: Int64 = 10_000) -> WireDuration {
    guard let deadline else { return WireDuration(milliseconds: milliseconds) }
    let left = Int64(ContinuousClock.now.duration(to: deadline) / .milliseconds(1))
    return WireDuration(milliseconds: max(1, min(left, milliseconds)))
}

func isOver(_ deadline: ContinuousClock.Instant?) -> Bool { deadline.map { ContinuousClock.now >= $0 } ?? false }

extension AppName: ExpressibleByArgument {
    package init?(argument: String) { self.init(rawValue: argument) }
}

extension RegionName: ExpressibleByArgument {
    package init?(argument: String) { self.init(rawValue: argument) }
}

extension JobID: ExpressibleByArgument {
    /// A plain number, or a build's name `APP/ID`.
    package init?(argument: String) {
        self.init(argument.split(separator: "/").last.map(String.init) ?? argument)
    }
}

extension LogSequence: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

extension LogMoment: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
