import ArgumentParser
import Client
import Domain
import Foundation
import Wire

struct PinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keep a build until it is unpinned, however old it grows.")

    @OptionGroup var server: ServerOptions
    @Option(help: "Why: recorded.") var reason: String
    @Argument(help: "The build's number.") var build: BuildID

    func run() async throws {
        let answer = try await server.client().pin(build, reason: reason)
        if server.json { return try Terminal.say(json: answer) }
        Terminal.say("build \(build) is pinned")
    }
}

struct UnpinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Keep a build no longer than others.")

    @OptionGroup var server: ServerOptions
    @Option(help: "Why: recorded.") var reason: String
    @Argument(help: "The build's number.") var build: BuildID

    func run() async throws {
        let answer = try await server.client().unpin(build, reason: reason)
        if server.json { return try Terminal.say(json: answer) }
        Terminal.say("build \(build) is not pinned")
    }
}

extension BuildBody {
    /// Whether it is kept, and until when it is there. Of the past only pins and retirements are known.
    func retentionWords(isPast: Bool) -> String {
        if let retired {
            return replication == .gone
                ? "gone, retired \(retired.at.text)" : "retired, removed after \(retired.removeAfter.text)"
        }
        if replication == .gone { return "gone, all copies were lost" }
        if let pinned, kept?.reason == .pinned { return "kept: pinned by \(pinned.actor)" }
        guard let kept else { return pinned.map { "kept: pinned by \($0.actor)" } ?? (isPast ? "" : "not kept") }
        return "kept: \(kept.reason.words)" + (kept.until.map { ", retires \($0.text)" } ?? "")
    }
}
