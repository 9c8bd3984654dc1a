import Packs
import Testing

@testable import Building

struct RecipeTests {
    private func parse(_ text: String) throws(RecipeFailure) -> Recipe { try Recipe(parsing: Array(text.utf8)) }

    @Test func theSmallest() throws {
        let recipe = try parse("build: make\nartifact: out/web\n")
        #expect(recipe == Recipe(build: ["make"], artifact: "out/web"))
        #expect(recipe.run == RunSettings())
    }

    @Test func everything() throws {
        let recipe = try parse(
            """
            # How web is built.
            build:
              - ./configure --prefix="$PWD"
              - |
                make
                make check && echo 'done' &
                wait
            artifact: out/web
            timeout_seconds: 600
            environment: {MODE: release, LEVEL: "3"}
            run:
              command: /bin/sh
              arguments: [-c, "exec ./web"]
              environment:
                PORT: "8080"
              health:
                http: {port: 8080, path: /healthz}
                within_seconds: 30
              stop_signal: INT
              grace_seconds: 20
            """)
        #expect(recipe.build == ["./configure --prefix=\"$PWD\"", "make\nmake check && echo 'done' &\nwait\n"])
        #expect(recipe.timeoutSeconds == 600)
        #expect(recipe.environment == ["MODE": "release", "LEVEL": "3"])
        #expect(
            recipe.run
                == RunSettings(
                    command: "/bin/sh", arguments: ["-c", "exec ./web"], environment: ["PORT": "8080"],
                    health: .http(path: "/healthz", port: 8080, withinSeconds: 30), stopSignal: .int,
                    graceSeconds: 20))
    }

    @Test func theOtherHealthChecks() throws {
        func health(_ text: String) throws -> HealthCheck {
            try parse("build: make\nartifact: web\nrun: {health: {\(text)}}").run.health
        }
        #expect(try health("within_seconds: 5") == .alive(seconds: 5))
        #expect(
            try health("within_seconds: 9, command: [./check, --fast]")
                == .command("./check", arguments: ["--fast"], withinSeconds: 9))
        #expect(
            try health("within_seconds: 9, http: {port: 80}") == .http(path: "/", port: 80, withinSeconds: 9))
    }

    /// Each with the line, the key and a word of the advice it must give.
    @Test(
        arguments: [
            ("", nil, nil, "empty"),
            ("just text", 1, "", "mapping"),
            ("build: make", 1, "artifact", "missing"),
            ("artifact: web", 1, "build", "missing"),
            ("build: make\nartefact: web", 2, "artefact", "artifact"),
            ("build: make\nartifact: web\nbuild: again", 1, "build", "twice"),
            ("build: make\nartifact: web\n\"build\": again", 1, "build", "twice"),
            ("build: []\nartifact: web", 1, "build", "1 to 100"),
            ("build: [make, ' ']\nartifact: web", 1, "build", "empty"),
            ("build:\nartifact: web", 1, "build", "empty"),
            ("build: {make: all}\nartifact: web", 1, "build", "not a mapping"),
            ("build: [[make]]\nartifact: web", 1, "build", "not a list"),
            ("build:\n- make\n- 3\nartifact: web", 3, "build", "in quotes"),
            ("build: make\nartifact: /web", 2, "artifact", "relative"),
            ("build: make\nartifact: ../web", 2, "artifact", "relative"),
            ("build: make\nartifact: out/../../web", 2, "artifact", "relative"),
            ("build: make\nartifact: ./web", 2, "artifact", "relative"),
            ("build: make\nartifact: out//web", 2, "artifact", "relative"),
            ("build: make\nartifact: ''", 2, "artifact", "relative"),
            ("build: make\nartifact: [web]", 2, "artifact", "a string"),
            ("build: make\nartifact: 1.10", 2, "artifact", "\"1.10\" in quotes"),
            ("build: make\nartifact: \"a\\0b\"", 2, "artifact", "zero byte"),
            ("build: make\nartifact: web\ntimeout_seconds: soon", 3, "timeout_seconds", "number"),
            ("build: make\nartifact: web\ntimeout_seconds: 0", 3, "timeout_seconds", "from 1"),
            ("build: make\nartifact: web\ntimeout_seconds: -5", 3, "timeout_seconds", "from 1"),
            ("build: make\nartifact: web\ntimeout_seconds: \"60\"", 3, "timeout_seconds", "without quotes"),
            ("build: make\nartifact: web\ntimeout_seconds: 99999999999999999999", 3, "timeout_seconds", "from 1"),
            ("build: make\nartifact: web\nenvironment: [A]", 3, "environment", "mapping"),
            ("build: make\nartifact: web\nenvironment: {A: 1}", 3, "environment", "in quotes"),
            ("build: make\nartifact: web\nenvironment: {A: yes}", 3, "environment", "in quotes"),
            ("build: make\nartifact: web\nenvironment: {A: x, A: y}", 3, "A", "twice"),
            ("build: make\nartifact: web\nenvironment: {1A: x}", 3, "environment", "1A"),
            ("build: make\nartifact: web\nenvironment: {A=B: x}", 3, "environment", "A=B"),
            ("build: make\nartifact: web\nrun: now", 3, "run", "mapping"),
            ("build: make\nartifact: web\nrun: {cmd: x}", 3, "run.cmd", "command"),
            ("build: make\nartifact: web\nrun: {command: [a]}", 3, "run.command", "a string"),
            ("build: make\nartifact: web\nrun: {command: ''}", 3, "run", "leave it out"),
            ("build: make\nartifact: web\nrun: {arguments: a}", 3, "run.arguments", "list"),
            ("build: make\nartifact: web\nrun: {stop_signal: SIGTERM}", 3, "run.stop_signal", "TERM, INT"),
            ("build: make\nartifact: web\nrun: {grace_seconds: 1000000}", 3, "run.grace_seconds", "86400"),
            ("build: make\nartifact: web\nrun:\n  health: {}", 4, "run.health.within_seconds", "missing"),
            (
                "build: make\nartifact: web\nrun:\n  health: {within_seconds: 1, http: {}}", 4, "run.health.http.port",
                "missing"
            ),
            (
                "build: make\nartifact: web\nrun:\n  health: {within_seconds: 1, http: {port: 0}}", 4,
                "run.health.http.port", "from 1"
            ),
            (
                "build: make\nartifact: web\nrun: {health: {within_seconds: 1, http: {port: 1, path: x}}}", 3, "run",
                "must start with /"
            ),
            (
                "build: make\nartifact: web\nrun: {health: {within_seconds: 1, command: []}}", 3, "run.health.command",
                "program"
            ),
            (
                "build: make\nartifact: web\nrun: {health: {within_seconds: 1, command: [a], http: {port: 1}}}", 3,
                "run.health", "one of them"
            ),
            ("build: make\nartifact: web\n---\nbuild: make", 3, nil, "one YAML document"),
            ("build: [make\nartifact: web", 2, nil, "not one YAML document"),
            ("build: \"make", 1, nil, "not one YAML document"),
            ("build: *x\nartifact: web", 1, nil, "not one YAML document"),
            ("a: &a [x, x]\nb: &b [*a, *a]", 1, nil, "aliases"),
            ("a: !!map &a {x: y}\n? *a\n: b", 1, nil, "aliases"),
            ("<<: {build: make}\nartifact: web", 1, "<<", "is not a key"),
            ("? [build]\n: make", 1, "?", "is not a key"),
            ("build: make\u{1}\nartifact: web", nil, nil, "not YAML"),
        ] as [(String, Int?, String?, String)])
    func refused(_ text: String, line: Int?, key: String?, word: String) throws {
        let failure = try #require(throws: RecipeFailure.self) { try parse(text) }
        #expect(failure.message.contains(word), "\(failure)")
        #expect(failure.key == key, "\(failure)")
        #expect(failure.line == line, "\(failure)")
    }

    @Test func tooLargeAndNotText() throws {
        let large = "build: make\nartifact: web\n#" + String(repeating: "x", count: Recipe.maximumFileBytes)
        #expect(try #require(throws: RecipeFailure.self) { try parse(large) }.message.contains("larger"))
        let invalid = try #require(throws: RecipeFailure.self) { try Recipe(parsing: [0x62, 0xff, 0xfe]) }
        #expect(invalid.message.contains("UTF-8"))
    }

    @Test(arguments: ["[", "{a: ", "- ", "? ", "a:\n "])
    func deepNestingIsRefusedAndNotFollowed(_ opener: String) {
        let deep = String(repeating: opener, count: 60_000 / opener.utf8.count)
        #expect(throws: RecipeFailure.self) { try parse(deep) }
    }

    /// Each level names the one before nine times: a billion nodes, and the key would be compared.
    @Test func anAliasBombIsRefusedBeforeItIsRead() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",") + "]\n"
        }
        #expect(throws: RecipeFailure.self) { try parse(text + "? *a12\n: y\n") }
    }

    @Test func shellTextThatLooksABitLikeAliases() throws {
        let recipe = try parse(
            """
            build:
              - make all && make check &
              - case $1 in *.c) cc *.c 2>&1 ;; *) exit 1 ;; esac
            artifact: web
            """)
        #expect(recipe.build.count == 2)
    }
}
