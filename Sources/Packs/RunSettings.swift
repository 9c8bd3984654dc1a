internal import Domain
internal import Glibc

/// How a peer runs the artifact: the recipe's `run` section, as it travels in the manifest.
package struct RunSettings: Hashable, Sendable {
    /// What to start instead of the artifact itself; nil starts the artifact.
    package var command: String?
    package var arguments: [String]
    package var environment: [String: String]
    package var health: HealthCheck
    package var stopSignal: StopSignal
    /// From the stop signal to KILL.
    package var graceSeconds: UInt32

    package static let maximumArguments = 256
    package static let maximumVariables = 256
    package static let maximumWaitSeconds: UInt32 = 24 * 3600

    package init(
        command: String? = nil, arguments: [String] = [], environment: [String: String] = [:],
        health: HealthCheck = .alive(seconds: 2), stopSignal: StopSignal = .term, graceSeconds: UInt32 = 10
    ) {
        (self.command, self.arguments, self.environment) = (command, arguments, environment)
        (self.health, self.stopSignal, self.graceSeconds) = (health, stopSignal, graceSeconds)
    }

    /// Throws when a setting is beyond its limit or cannot be handed to a process.
    package func validate() throws(PackFailure) {
        try Self.check(arguments.count <= Self.maximumArguments, "run has more than \(Self.maximumArguments) arguments")
        try Self.check(
            environment.count <= Self.maximumVariables, "run has more than \(Self.maximumVariables) variables")
        try Self.check(
            graceSeconds <= Self.maximumWaitSeconds, "grace_seconds is above \(Self.maximumWaitSeconds)")
        try Self.checkText(arguments + environment.values + (command.map { [$0] } ?? []))
        try Self.check(command != "", "run's command is empty; leave it out to run the artifact")
        try Self.check(environment.keys.allSatisfy(Self.isVariableName), "run sets a variable with an invalid name")
        try health.validate()
    }

    private static func isVariableName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, bytes.count <= 255, !(0x30...0x39).contains(first) else { return false }
        return bytes.allSatisfy { byte in
            (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x5f
        }
    }

    static func checkText(_ texts: [String]) throws(PackFailure) {
        for text in texts {
            try check(text.utf8.count <= PackLimits.maximumTextBytes, "a text of the run section is too long")
            try check(!text.utf8.contains(0), "a text of the run section holds a zero byte")
        }
    }

    static func check(_ condition: Bool, _ message: @autoclosure () -> String) throws(PackFailure) {
        guard condition else { throw PackFailure(.invalidManifest, "\(message()); mend the recipe and build again") }
    }
}

/// When the running artifact counts as healthy.
package enum HealthCheck: Hashable, Sendable {
    /// Still running after so long.
    case alive(seconds: UInt32)
    /// This command ends with 0 within the time.
    case command(String, arguments: [String], withinSeconds: UInt32)
    /// A GET on the machine itself answers 2xx within the time.
    case http(path: String, port: UInt16, withinSeconds: UInt32)

    package var withinSeconds: UInt32 {
        switch self {
        case .alive(let seconds): seconds
        case .command(_, _, let seconds): seconds
        case .http(_, _, let seconds): seconds
        }
    }

    fileprivate func validate() throws(PackFailure) {
        try RunSettings.check(withinSeconds <= RunSettings.maximumWaitSeconds, "the health check waits too long")
        switch self {
        case .alive: break
        case .command(let command, let arguments, _):
            try RunSettings.check(!command.isEmpty, "the health check's command is empty")
            try RunSettings.check(arguments.count <= RunSettings.maximumArguments, "too many health check arguments")
            try RunSettings.checkText([command] + arguments)
        case .http(let path, let port, _):
            try RunSettings.check(port > 0, "the health check's port is 0")
            try RunSettings.check(
                path.hasPrefix("/") && path.utf8.allSatisfy { (0x21...0x7e).contains($0) },
                "the health check's path must start with / and hold printable ASCII only")
            try RunSettings.checkText([path])
        }
    }
}

/// How a running artifact is asked to stop.
package enum StopSignal: String, Hashable, Sendable, Codable, CaseIterable {
    case term = "TERM"
    case int = "INT"
    case quit = "QUIT"
    case hup = "HUP"
    case usr1 = "USR1"
    case usr2 = "USR2"
    case kill = "KILL"

    package var number: Int32 {
        switch self {
        case .term: SIGTERM
        case .int: SIGINT
        case .quit: SIGQUIT
        case .hup: SIGHUP
        case .usr1: SIGUSR1
        case .usr2: SIGUSR2
        case .kill: SIGKILL
        }
    }
}
