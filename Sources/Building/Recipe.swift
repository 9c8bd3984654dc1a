internal import Domain
package import Packs

/// What `drover.yml` says: how a commit becomes a binary, and how peers run that.
package struct Recipe: Hashable, Sendable {
    /// Shell commands, each run by `/bin/sh -ec` in the repository's directory.
    package var build: [String]
    /// The built file, relative to the repository's directory.
    package var artifact: String
    /// For all commands together; nil for the control plane's default.
    package var timeoutSeconds: UInt32?
    package var environment: [String: String]
    package var run: RunSettings

    package static let maximumFileBytes = 64 * 1024
    package static let maximumCommands = 100
    package static let maximumVariables = 256
    package static let timeoutsSeconds: ClosedRange<UInt32> = 1...(7 * 24 * 3600)

    package init(
        build: [String], artifact: String, timeoutSeconds: UInt32? = nil, environment: [String: String] = [:],
        run: RunSettings = RunSettings()
    ) {
        (self.build, self.artifact, self.timeoutSeconds) = (build, artifact, timeoutSeconds)
        (self.environment, self.run) = (environment, run)
    }
}

/// What is wrong with a recipe, where, and what to write instead.
package struct RecipeFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1, where known.
    package var line: Int?
    /// The path of keys, as in `run.health.http`; nil for the file as a whole.
    package var key: String?
    package var message: String

    package init(line: Int? = nil, key: String? = nil, _ message: String) {
        (self.line, self.key, self.message) = (line, key, message)
    }

    /// `line 3, run.health: ...`
    package var description: String {
        let place = [line.map { "line \($0)" }, key].compactMap(\.self).joined(separator: ", ")
        return place.isEmpty ? message : "\(place): \(message)"
    }
}

extension Recipe {
    /// Reads a recipe's bytes. Strict: whatever it does not know is refused, so that a misspelt key is not lost.
    package init(parsing bytes: [UInt8]) throws(RecipeFailure) {
        let fields = try RecipeFields(
            root: recipeRoot(bytes), keys: ["build", "artifact", "timeout_seconds", "environment", "run"])
        build = try Self.commands(fields)
        artifact = try Self.artifact(fields)
        timeoutSeconds = try fields.value("timeout_seconds")?.number(in: Self.timeoutsSeconds)
        environment = try Self.variables(fields.value("environment"))
        run = try Self.runSettings(fields.value("run"))
    }

    private static func commands(_ fields: RecipeFields) throws(RecipeFailure) -> [String] {
        let value = try fields.required("build", "the command, or a list of commands, that builds the artifact")
        let commands = try value.textOrList()
        guard !commands.isEmpty, commands.count <= maximumCommands else {
            throw value.failure("give 1 to \(maximumCommands) commands")
        }
        guard !commands.contains(where: { $0.allSatisfy(\.isWhitespace) }) else {
            throw value.failure("a command is empty; take it out")
        }
        return commands
    }

    private static func artifact(_ fields: RecipeFields) throws(RecipeFailure) -> String {
        let value = try fields.required("artifact", "the path of the file that the build makes")
        let path = try value.text()
        guard isRelativePathInside(path) else {
            throw value.failure(
                "'\(path)' is not a path inside the repository; write it relative to the repository, without . or ..")
        }
        return path
    }

    private static func variables(_ value: RecipeValue?) throws(RecipeFailure) -> [String: String] {
        guard let value else { return [:] }
        let variables = try value.texts()
        guard variables.count <= maximumVariables else {
            throw value.failure("set at most \(maximumVariables) variables")
        }
        for name in variables.keys.sorted() where !isVariableName(name) {
            throw value.failure("'\(name)' is no name of a variable; use letters, digits and _")
        }
        return variables
    }

    private static func isVariableName(_ name: String) -> Bool {
        guard let first = name.first, name.utf8.count <= 255, !first.isNumber else { return false }
        return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }

    private static func runSettings(_ value: RecipeValue?) throws(RecipeFailure) -> RunSettings {
        guard let value else { return RunSettings() }
        let fields = try RecipeFields(
            value, keys: ["command", "arguments", "environment", "health", "stop_signal", "grace_seconds"])
        var run = RunSettings()
        run.command = try fields.value("command")?.text()
        run.arguments = try fields.value("arguments")?.list() ?? []
        run.environment = try variables(fields.value("environment"))
        if let health = fields.value("health") { run.health = try healthCheck(health) }
        if let signal = fields.value("stop_signal") { run.stopSignal = try stopSignal(signal) }
        if let grace = fields.value("grace_seconds") {
            run.graceSeconds = try grace.number(in: 0...RunSettings.maximumWaitSeconds)
        }
        do {
            try run.validate()
        } catch {
            throw value.failure(error.message)
        }
        return run
    }

    private static func stopSignal(_ value: RecipeValue) throws(RecipeFailure) -> StopSignal {
        let text = try value.text()
        guard let signal = StopSignal(rawValue: text) else {
            throw value.failure(
                "'\(text)' is not one of \(StopSignal.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return signal
    }

    private static func healthCheck(_ value: RecipeValue) throws(RecipeFailure) -> HealthCheck {
        let fields = try RecipeFields(value, keys: ["command", "http", "within_seconds"])
        let seconds = try fields.required("within_seconds", "how many seconds the check may take to succeed")
            .number(in: 0...RunSettings.maximumWaitSeconds)
        switch (fields.value("command"), fields.value("http")) {
        case (nil, nil):
            return .alive(seconds: seconds)
        case (let command?, nil):
            let words = try command.list()
            guard let program = words.first else { throw command.failure("write the program and its arguments") }
            return .command(program, arguments: Array(words.dropFirst()), withinSeconds: seconds)
        case (nil, let http?):
            let target = try RecipeFields(http, keys: ["port", "path"])
            return .http(
                path: try target.value("path")?.text() ?? "/",
                port: UInt16(try target.required("port", "the port the app listens on").number(in: 1...65535)),
                withinSeconds: seconds)
        case (_?, _?):
            throw value.failure("has both command and http; keep one of them")
        }
    }
}
