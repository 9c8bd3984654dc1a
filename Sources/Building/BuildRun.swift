package import Domain
internal import Foundation
internal import Ports
package import Processes
internal import Synchronization

package struct BuildSettings: Hashable, Sendable {
    package var snapshot = SnapshotSettings()
    /// From TERM to KILL for a build that is stopped.
    package var graceSeconds: Double = 10
    /// The environment of builds beside what each attempt gets of its own.
    package var environment = ["PATH": defaultSearchPath, "LANG": "C.UTF-8"]
    /// Output kept for a failure's detail.
    package var tailBytes = 8 * 1024

    package init() {}
}

/// What a build made.
package struct BuiltArtifact: Hashable, Sendable {
    /// Absolute, inside the workspace, a regular file.
    package var path: String
    package var bytes: UInt64
    package var recipe: Recipe
    /// The recipe's file, as the commit has it.
    package var recipeBytes: [UInt8]
}

package enum BuildOutcome: Hashable, Sendable {
    case built(BuiltArtifact)
    case failed(BuildFailure)
}

/// From a claimed job to its artifact: snapshot, recipe, commands. Cancelling the task ends every process and gives
/// `failed(cancelled)`.
package struct BuildRun: Sendable {
    private let settings: BuildSettings
    private let runner: GroupRunner

    package init(settings: BuildSettings = BuildSettings(), runner: GroupRunner = GroupRunner()) {
        (self.settings, self.runner) = (settings, runner)
    }

    package func run(
        _ job: ClaimedJob, in workspace: Workspace, output: @escaping OutputSink,
        onStage: @Sendable (AttemptStage) async -> Void = { _ in }
    ) async -> BuildOutcome {
        do {
            await onStage(.snapshot)
            try await takeSnapshot(job, workspace, output)
            let (recipe, bytes) = try await readRecipe(job, workspace)
            await onStage(.build)
            try await runCommands(recipe, job, workspace, output)
            let (path, size) = try await findArtifact(recipe, workspace)
            return .built(BuiltArtifact(path: path, bytes: size, recipe: recipe, recipeBytes: bytes))
        } catch {
            await output(Array("\(error.detail)\n".utf8))
            return .failed(error)
        }
    }

    // MARK: Steps

    private func takeSnapshot(
        _ job: ClaimedJob, _ workspace: Workspace, _ output: @escaping OutputSink
    ) async throws(BuildFailure) {
        let snapshot = Snapshot(settings: settings.snapshot, runner: runner)
        do {
            try await snapshot.take(
                repository: job.request.repository, commit: job.request.commit, into: workspace, output: output)
        } catch {
            if error.code == .cancelled { throw .cancelled }
            throw BuildFailure(.snapshot, detail: failureDetail(error.message))
        }
    }

    private func readRecipe(
        _ job: ClaimedJob, _ workspace: Workspace
    ) async throws(BuildFailure) -> (Recipe, [UInt8]) {
        let path = job.request.recipePath
        return try await Workspaces.onFileThread { () throws(BuildFailure) -> (Recipe, [UInt8]) in
            let bytes = try recipeBytes(path, workspace)
            do {
                return (try Recipe(parsing: bytes), bytes)
            } catch {
                throw BuildFailure(.recipe, detail: failureDetail("\(path): \(error)"))
            }
        }
    }

    private func runCommands(
        _ recipe: Recipe, _ job: ClaimedJob, _ workspace: Workspace, _ output: @escaping OutputSink
    ) async throws(BuildFailure) {
        let seconds = recipe.timeoutSeconds ?? job.jobTimeoutSeconds
        let deadline = ContinuousClock.now + .seconds(Int64(seconds))
        let environment = environment(recipe, job, workspace)
        for command in recipe.build {
            let tail = OutputTail(maximumBytes: settings.tailBytes)
            await output(Array("$ \(command)\n".utf8))
            let left = max(0, (deadline - ContinuousClock.now) / .seconds(1))
            let supervised = SupervisedCommand(
                executable: "/bin/sh", arguments: ["-ec", command], environment: environment,
                directory: workspace.source)
            let limits = RunLimits(timeoutSeconds: left, graceSeconds: settings.graceSeconds)
            let end: RunEnd
            do {
                end = try await runner.run(supervised, limits: limits) { chunk in
                    tail.append(chunk)
                    await output(chunk)
                }
            } catch {
                throw BuildFailure(.exit, detail: failureDetail("The build cannot start: \(error.message)"))
            }
            try judge(end, command, timeoutSeconds: seconds, tail: tail.bytes)
        }
    }

    private func judge(
        _ end: RunEnd, _ command: String, timeoutSeconds: UInt32, tail: [UInt8]
    ) throws(BuildFailure) {
        let name = "`\(command.prefix(120))`"
        switch end {
        case .ended(.exited(0)): return
        case .ended(.exited(let code)):
            throw BuildFailure(
                .exit, exitCode: code, detail: failureDetail("\(name) ended with exit code \(code).", tail: tail))
        case .ended(.signalled(let number)):
            throw BuildFailure(
                .exit, exitCode: 128 + number,
                detail: failureDetail("\(name) was ended by signal \(number).", tail: tail))
        case .ended(.unknown):
            throw BuildFailure(.exit, detail: failureDetail("\(name) ended, nobody knows how.", tail: tail))
        case .timedOut:
            throw BuildFailure(
                .timeout,
                detail: failureDetail(
                    "The build took longer than \(timeoutSeconds) s and was stopped at \(name); raise timeout_seconds "
                        + "or make it faster.", tail: tail))
        case .cancelled: throw .cancelled
        }
    }

    private func findArtifact(
        _ recipe: Recipe, _ workspace: Workspace
    ) async throws(BuildFailure) -> (String, UInt64) {
        let name = recipe.artifact
        return try await Workspaces.onFileThread { () throws(BuildFailure) -> (String, UInt64) in
            do {
                let (path, bytes) = try ContainedPath.file(
                    name, in: workspace.source, root: workspace.root, mayBeLink: false)
                guard bytes > 0 else { throw BuildFailure(.artifact, detail: "The artifact '\(name)' is empty.") }
                return (path, bytes)
            } catch let failure as BuildFailure {
                throw failure
            } catch let failure as ContainedPath.Failure {
                throw BuildFailure(.artifact, detail: failureDetail(Self.artifactProblem(name, failure)))
            } catch {
                throw BuildFailure(.artifact, detail: failureDetail("The artifact '\(name)' cannot be read: \(error)"))
            }
        }
    }

    private static func artifactProblem(_ name: String, _ failure: ContainedPath.Failure) -> String {
        switch failure {
        case .missing: "The build ended well but made no '\(name)'; check artifact in the recipe."
        case .outside:
            "The artifact '\(name)' leads out of the workspace; copy the file into the repository's directory."
        case .notAFile(let kind): "The artifact '\(name)' is \(kind); it must be one regular file, such as an archive."
        }
    }

    private func environment(_ recipe: Recipe, _ job: ClaimedJob, _ workspace: Workspace) -> [String: String] {
        let own = [
            "HOME": workspace.home, "TMPDIR": workspace.temporary, "CI": "true",
            "DROVER_APP": job.request.app.rawValue, "DROVER_JOB": job.key.job.description,
            "DROVER_COMMIT": job.request.commit.rawValue,
        ]
        return settings.environment.merging(own) { $1 }.merging(recipe.environment) { $1 }
    }
}

/// The recipe's bytes, from inside the snapshot.
private func recipeBytes(_ path: String, _ workspace: Workspace) throws(BuildFailure) -> [UInt8] {
    guard isRelativePathInside(path) else {
        throw BuildFailure(.recipe, detail: failureDetail("'\(path)' is not a path inside the repository."))
    }
    do {
        let (file, bytes) = try ContainedPath.file(path, in: workspace.source, root: workspace.source)
        guard bytes <= UInt64(Recipe.maximumFileBytes), let data = FileManager.default.contents(atPath: file) else {
            throw BuildFailure(
                .recipe, detail: failureDetail("\(path) is larger than \(Recipe.maximumFileBytes) bytes."))
        }
        return [UInt8](data)
    } catch let failure as BuildFailure {
        throw failure
    } catch {
        let problem =
            switch error as? ContainedPath.Failure {
            case .missing?: "The commit has no \(path); add one, or name another with --recipe."
            case .outside?: "\(path) is a symlink out of the repository; make it a file."
            case .notAFile(let kind)?: "\(path) is \(kind); it must be a file."
            case nil: "\(path) cannot be read: \(error)"
            }
        throw BuildFailure(.recipe, detail: failureDetail(problem))
    }
}
