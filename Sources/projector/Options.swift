import ArgumentParser
import Configuration
import Domain
import Foundation
import SystemPackage

/// What every role takes. Nil where the command line does not say: then the environment's or the file's word counts.
struct CommonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where this role keeps its data.", valueName: "directory"))
    var data: String?

    @Option(help: ArgumentHelp("Where to listen; port 0 takes any free one.", valueName: "host:port"))
    var listen: String?

    @Option(
        help: ArgumentHelp(
            "The host and port that others reach this process at, where it is not what it listens on.",
            valueName: "host:port"))
    var advertise: String?

    @Flag(help: "Allow to listen off loopback without TLS: everybody who reaches the port is trusted.")
    var insecure = false

    @Option(help: "How much to log: debug, info, notice, warning or error.")
    var logLevel: String?

    /// Written once ready, with the URL in it: for whoever started this process.
    @Option(help: .hidden)
    var readyFile: String?
}

/// Flags first, then `DROVER_...`, then the file that `DROVER_CONFIG` names.
struct RoleSettings: Sendable {
    private let reader: ConfigReader

    init() async throws {
        var providers: [any ConfigProvider] = [EnvironmentVariablesProvider()]
        if let path = ProcessInfo.processInfo.environment["DROVER_CONFIG"] {
            do {
                providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
            } catch {
                throw UsageProblem("the configuration file \(path) (DROVER_CONFIG) cannot be read: \(error)")
            }
        }
        reader = ConfigReader(providers: providers)
    }

    func text(_ flag: String?, _ name: String) -> String? {
        flag ?? reader.string(forKey: ConfigKey(["drover"] + Self.words(name)))
    }

    func number(_ flag: UInt32?, _ name: String) throws -> UInt32? {
        if let flag { return flag }
        guard let text = text(nil, name) else { return nil }
        guard let number = UInt32(text) else {
            throw UsageProblem("\(Self.variable(name)) is \"\(text)\": it must be a whole number")
        }
        return number
    }

    func flag(_ flag: Bool, _ name: String) throws -> Bool {
        if flag { return true }
        switch text(nil, name) {
        case nil, "", "0", "false", "no": return false
        case "1", "true", "yes": return true
        case .some(let other): throw UsageProblem("\(Self.variable(name)) is \"\(other)\": it must be true or false")
        }
    }

    func name<Name: NameIdentifier>(_ flag: String?, _ setting: String, default standard: String) throws -> Name {
        let text = text(flag, setting) ?? standard
        guard let name = Name(rawValue: text) else {
            throw UsageProblem(
                "--\(setting) is \"\(text)\": a name is 1 to 63 of a-z 0-9 . _ -, starting with a letter or digit")
        }
        return name
    }

    private static func variable(_ name: String) -> String {
        "DROVER_" + name.uppercased().replacing("-", with: "_")
    }

    private static func words(_ name: String) -> [String] { name.split(separator: "-").map(String.init) }
}

/// A host and a port, as flags write them.
struct HostPort: Sendable, CustomStringConvertible {
    var host: String
    var port: Int

    init(_ text: String, flag: String) throws {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw UsageProblem("--\(flag) is \"\(text)\": write HOST:PORT, as in 127.0.0.1:7070")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { throw UsageProblem("--\(flag) is \"\(text)\": the host is missing") }
        (self.host, self.port) = (host, Int(port))
    }

    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What a role's flags amount to.
struct RolePlace: Sendable {
    var data: String
    var listen: HostPort
    /// Nil: what it is bound to.
    var advertise: HostPort?
    var readyFile: String?

    init(_ options: CommonOptions, _ settings: RoleSettings, data: String, listen: String) throws {
        self.data = URL(filePath: settings.text(options.data, "data") ?? data).path
        self.listen = try HostPort(settings.text(options.listen, "listen") ?? listen, flag: "listen")
        advertise = try settings.text(options.advertise, "advertise").map { try HostPort($0, flag: "advertise") }
        readyFile = options.readyFile
        guard try self.listen.isLoopback || settings.flag(options.insecure, "insecure") else {
            throw UsageProblem(
                "--listen \(self.listen) is reachable from other machines and TLS is not configured: "
                    + "listen on 127.0.0.1, or say --insecure if the network is yours alone")
        }
    }

    /// Host names under which requests may name this process.
    var allowedHosts: Set<String> {
        Set([listen.host, advertise?.host].compactMap { $0 }.map { $0.contains(":") ? "[\($0)]" : $0 })
    }
}

/// Checks a URL that a flag names.
func controlURL(_ text: String?, flag: String, what: String) throws -> String {
    guard let text else { throw UsageProblem("--\(flag) is missing: name \(what), as in http://127.0.0.1:7070") }
    guard let url = URL(string: text), url.scheme == "http" || url.scheme == "https", url.host() != nil else {
        throw UsageProblem("--\(flag) is \"\(text)\": write a URL such as http://127.0.0.1:7070")
    }
    return text.hasSuffix("/") ? String(text.dropLast()) : text
}
