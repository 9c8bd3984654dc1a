import Foundation
import Logging
import Ports
import Processes
import ServiceLifecycle
import UnixSignals

/// Logs to standard error, so that standard output is for what a role has to say.
func makeLogger(_ label: String, _ options: CommonOptions, _ settings: RoleSettings) throws -> Logger {
    let text = settings.text(options.logLevel, "log-level") ?? "notice"
    guard let level = Logger.Level(rawValue: text) else {
        throw UsageProblem("--log-level is \"\(text)\": it is debug, info, notice, warning or error")
    }
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
}

/// How long a role takes to end, where it does not say otherwise.
let standardStopSeconds: Int64 = 30

/// Runs until TERM or INT, then stops the services in the reverse order, in at most so many seconds.
func runServices(_ services: [any Service], logger: Logger, stopSeconds: Int64? = nil) async throws {
    var configuration = ServiceGroupConfiguration(
        services: services.map {
            .init(
                service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                failureTerminationBehavior: .cancelGroup)
        },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(stopSeconds ?? standardStopSeconds)
    try await ServiceGroup(configuration: configuration).run()
}

/// Says that a role is ready: on standard output, and in the file that its starter watches.
func announceReady(_ url: String, file: String?) {
    guard let file else { return FileHandle.standardOutput.write(Data("ready \(url)\n".utf8)) }
    let temporary = file + ".new"
    do {
        try Data((url + "\n").utf8).write(to: URL(filePath: temporary))
        try renameReplacing(temporary, to: file)
    } catch {
        FileHandle.standardError.write(Data("projector: the ready file \(file) is not written: \(error)\n".utf8))
    }
}

/// The data directory, made if it is not there.
func prepareDirectory(_ path: String) throws {
    do {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
        throw RoleFailure("the data directory \(path) cannot be made: \(error.localizedDescription)")
    }
}

/// This process's claim to a data directory, until it is let go.
func lockDirectory(_ path: String) throws -> DirectoryLock {
    do throws(ProcessFailure) { return try DirectoryLock(path) } catch { throw RoleFailure(error.message) }
}
