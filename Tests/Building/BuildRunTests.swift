import Domain
import Foundation
import Packs
import Synchronization
import Testing

@testable import Building

struct BuildRunTests {
    /// Builds a repository of these files and gives the outcome, the output and the workspace.
    private func build(
        _ files: [String: String], in directory: String, recipe: String = "drover.yml", timeoutSeconds: UInt32 = 300,
        graceSeconds: Double = 5
    ) async throws -> (outcome: BuildOutcome, output: String, workspace: Workspace) {
        let repository = try await TestRepository("\(directory)/repository")
        for (name, text) in files { try repository.write(name, text) }
        let commit = try await repository.commit()
        let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
        var settings = BuildSettings()
        settings.graceSeconds = graceSeconds
        let output = Output()
        let outcome = await BuildRun(settings: settings).run(
            job(repository.path, commit, recipe: recipe, timeoutSeconds: timeoutSeconds), in: workspace,
            output: { output.write($0) })
        return (outcome, output.text, workspace)
    }

    private func failure(_ outcome: BuildOutcome) throws -> BuildFailure {
        guard case .failed(let failure) = outcome else {
            Issue.record("it was built: \(outcome)")
            throw BuildFailure(.lost, detail: "no failure")
        }
        return failure
    }

    @Test func fromCommitToArtifact() async throws {
        try await withTemporaryDirectory { directory in
            let recipe = """
                build:
                  - mkdir out; echo building >&2
                  - printf '%s %s %s %s' "$WORD" "$DROVER_APP" "$DROVER_JOB" "$CI" > out/web; ls "$HOME" "$TMPDIR"
                artifact: out/web
                environment: {WORD: hello}
                run: {arguments: [-v], grace_seconds: 3}
                """
            let (outcome, output, workspace) = try await build(
                ["ci/web.yml": recipe], in: directory, recipe: "ci/web.yml")
            guard case .built(let artifact) = outcome else {
                Issue.record("\(outcome) \(output)")
                return
            }
            #expect(artifact.path.hasSuffix("/source/out/web") && artifact.bytes == 16)
            #expect(text(artifact.path) == "hello web 1 true")
            #expect(artifact.recipe.run == RunSettings(arguments: ["-v"], graceSeconds: 3))
            #expect(artifact.recipeBytes == Array(recipe.utf8))
            #expect(output.contains("$ mkdir out; echo building >&2\nbuilding\n"))
            #expect(workspace.root.hasSuffix("/1-1"))
        }
    }

    @Test func theStagesAreTold() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write("drover.yml", "build: echo x > web\nartifact: web\n")
            let commit = try await repository.commit()
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let stages = Mutex<[AttemptStage]>([])
            _ = await BuildRun().run(
                job(repository.path, commit), in: workspace, output: { _ in },
                onStage: { stage in stages.withLock { $0.append(stage) } })
            #expect(stages.withLock { $0 } == [.snapshot, .build])
        }
    }

    @Test func aCommandThatFails() async throws {
        try await withTemporaryDirectory { directory in
            let recipe = "build: [echo one, 'echo two; false; echo three', echo four]\nartifact: web\n"
            let (outcome, output, _) = try await build(["drover.yml": recipe], in: directory)
            let failure = try failure(outcome)
            #expect(failure.reason == .exit && failure.exitCode == 1)
            #expect(failure.detail.contains("exit code 1") && failure.detail.hasSuffix("\ntwo"))
            #expect(!output.contains("\nthree") && !output.contains("\nfour"))
        }
    }

    @Test(arguments: [
        ("kill -KILL $$", FailureReason.exit, Int32?.some(137), "signal 9"),
        ("exit 42", .exit, 42, "exit code 42"),
        ("no-such-command", .exit, 127, "not found"),
        ("true", .artifact, nil, "made no 'web'"),
        ("mkdir web", .artifact, nil, "a directory"),
        ("ln -s /etc/passwd web", .artifact, nil, "a symlink"),
        ("ln -s drover.yml web", .artifact, nil, "a symlink"),
        ("mkfifo web", .artifact, nil, "a device or pipe"),
        (": > web", .artifact, nil, "is empty"),
    ])
    func failures(_ command: String, reason: FailureReason, code: Int32?, word: String) async throws {
        try await withTemporaryDirectory { directory in
            let (outcome, _, _) = try await build(
                ["drover.yml": "build: '\(command)'\nartifact: web\n"], in: directory)
            let failure = try failure(outcome)
            #expect(failure.reason == reason && failure.exitCode == code && failure.detail.contains(word), "\(failure)")
        }
    }

    @Test func recipesThatCannotBeRead() async throws {
        for (name, files, word) in [
            ("drover.yml", ["other": "x"], "no drover.yml"),
            ("drover.yml", ["drover.yml": "build: 1\nartifact: web\n"], "line 1, build"),
            ("drover.yml", ["drover.yml": String(repeating: "#", count: 70_000)], "larger than 65536"),
            ("../repository/drover.yml", ["drover.yml": "build: x\nartifact: y\n"], "inside the repository"),
            ("/etc/passwd", ["drover.yml": "build: x\nartifact: y\n"], "inside the repository"),
            ("drover.yml", ["drover.yml/file": "x"], "a directory"),
        ] {
            try await withTemporaryDirectory { directory in
                let failure = try failure(try await build(files, in: directory, recipe: name).outcome)
                #expect(failure.reason == .recipe && failure.detail.contains(word), "\(name): \(failure)")
            }
        }
    }

    @Test func aRecipeThatIsALinkOut() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try FileManager.default.createSymbolicLink(
                atPath: repository.path + "/drover.yml", withDestinationPath: "/etc/passwd")
            let commit = try await repository.commit()
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let failure = try failure(
                await BuildRun().run(job(repository.path, commit), in: workspace, output: { _ in }))
            #expect(
                failure.reason == .recipe && failure.detail.contains("symlink out") && !failure.detail.contains("root:")
            )
        }
    }

    @Test func noSnapshot() async throws {
        try await withTemporaryDirectory { directory in
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let commit = try #require(CommitID(rawValue: String(repeating: "a", count: 40)))
            let failure = try failure(
                await BuildRun().run(job("\(directory)/none", commit), in: workspace, output: { _ in }))
            #expect(failure.reason == .snapshot && failure.detail.contains("\(directory)/none"))
        }
    }

    /// The time is for all commands together, and grandchildren that left the session end too.
    @Test func timeout() async throws {
        try await withTemporaryDirectory { directory in
            let recipe = """
                build:
                  - 'true'
                  - |
                    trap '' TERM
                    setsid sh -c 'trap "" TERM; echo $$ > \(directory)/escaped; while :; do sleep 0.1; done' &
                    echo waiting; while :; do sleep 0.1; done
                artifact: web
                timeout_seconds: 1
                """
            let (outcome, _, _) = try await build(["drover.yml": recipe], in: directory, graceSeconds: 0.2)
            let failure = try failure(outcome)
            #expect(failure.reason == .timeout && failure.exitCode == nil)
            #expect(failure.detail.contains("longer than 1 s") && failure.detail.hasSuffix("waiting"))
            if let pid = Int32(text("\(directory)/escaped").dropLast()) { #expect(!isAlive(pid)) }
        }
    }

    @Test func theJobsTimeoutWhereTheRecipeNamesNone() async throws {
        try await withTemporaryDirectory { directory in
            let (outcome, _, _) = try await build(
                ["drover.yml": "build: sleep 600\nartifact: web\n"], in: directory, timeoutSeconds: 1)
            #expect(try failure(outcome).reason == .timeout)
        }
    }

    @Test func cancellationEndsEverything() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write(
                "drover.yml",
                "build: 'sleep 600 & echo $! > \(directory)/child; setsid sleep 600 & echo $! > \(directory)/far; wait'\n"
                    + "artifact: web\n")
            let commit = try await repository.commit()
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let claimed = job(repository.path, commit)
            let task = Task { await BuildRun().run(claimed, in: workspace, output: { _ in }) }
            func pids() -> [Int32] { ["child", "far"].compactMap { Int32(text("\(directory)/\($0)").dropLast()) } }
            #expect(await eventually { pids().count == 2 })
            task.cancel()
            #expect(await task.value == .failed(.cancelled))
            #expect(pids().count == 2 && !pids().contains(where: isAlive))
        }
    }

    /// Whoever gets rid of the keeper gains nothing: the worker goes on, and what held the output is gone.
    @Test(arguments: ["kill -9 $PPID", "kill -STOP $PPID"])
    func aBuildThatAttacksItsKeeper(command: String) async throws {
        try await withTemporaryDirectory { directory in
            let recipe = """
                build: 'setsid sleep 1000000 & echo $! > \(directory)/far; \(command); sleep 1000'
                artifact: web
                timeout_seconds: 1
                """
            let (outcome, _, _) = try await build(["drover.yml": recipe], in: directory, graceSeconds: 0.2)
            #expect(try [.exit, .timeout].contains(failure(outcome).reason))
            let pid = try #require(Int32(text("\(directory)/far").dropLast()))
            #expect(await eventually { !isAlive(pid) })
        }
    }

    /// Output is handed on as it comes, and a build without end of it does not fill memory: the sink decides the pace.
    @Test func aFloodOfOutputIsThrottled() async throws {
        try await withTemporaryDirectory { directory in
            let repository = try await TestRepository("\(directory)/repository")
            try repository.write("drover.yml", "build: 'yes | head -c 20000000; echo x > web'\nartifact: web\n")
            let commit = try await repository.commit()
            let workspace = try await Workspaces(directory: "\(directory)/work").create(firstKey)
            let seen = Mutex((bytes: 0, largest: 0))
            let outcome = await BuildRun().run(
                job(repository.path, commit), in: workspace,
                output: { chunk in
                    await Task.yield()
                    seen.withLock { $0 = ($0.bytes + chunk.count, max($0.largest, chunk.count)) }
                })
            guard case .built = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(seen.withLock { $0.bytes } > 20_000_000)
            #expect(seen.withLock { $0.largest } <= 65_536)
        }
    }
}
