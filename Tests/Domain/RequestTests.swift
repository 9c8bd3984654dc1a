import Domain
import Testing

@Suite("Limits of requests")
struct RequestTests {
    @Test("requests outside their bounds are refused")
    func requests() {
        let world = GlobalWorld.fleet()
        let cases: [(JobRequest, RefusalCode)] = [
            (request(repository: ""), .invalid), (request(repository: "--upload-pack=x"), .invalid),
            (request(repository: "a\nb"), .invalid),
            (request(repository: String(repeating: "r", count: 513)), .tooLarge),
            (request(recipe: "/etc/x"), .invalid), (request(recipe: "a/../b"), .invalid),
            (request(recipe: ""), .invalid), (request(recipe: String(repeating: "r", count: 257)), .tooLarge),
            (request(priority: 1001), .invalid), (request(priority: -1001), .invalid),
        ]
        for (request, code) in cases { #expect(world.decide(.queue(.enqueue(request))).code == code, "\(request)") }
    }

    @Test("details and reasons have limits")
    func texts() {
        var world = GlobalWorld.fleet()
        world.build(request(commit: 9))
        world.enqueue(request())
        _ = world.claim()
        let long = String(repeating: "x", count: 1001)
        let commands: [GlobalCommand] = [
            .queue(.cancel(job(2), reason: long)), .queue(.reportFailed(job(2), .first, .exit, detail: long)),
            .queue(.release(job(2), .first, detail: long)), .packLost(job(1), region: region("a"), detail: long),
            .fleet(.regionSuspend(region("a"), reason: long)), .fleet(.regionJoin(region("c"), endpoint: long)),
            .targets(.deploy(DeployRequest(app: app(), build: job(1), reason: long))),
        ]
        for command in commands { #expect(world.decide(command).code == .tooLarge, "\(command)") }
        #expect(world.decide(.queue(.claim(worker("w1"))), key: String(repeating: "k", count: 129)).code == .tooLarge)
    }

    @Test("settings outside their bounds are refused, and equal ones are no event")
    func settings() {
        let world = GlobalWorld()
        let changes: [(inout Settings) -> Void] = [
            { $0.leaseSeconds = 0 }, { $0.heartbeatSeconds = 61 }, { $0.maximumAttempts = 0 },
            { $0.convergedShare = 10_001 },
            { $0.targetLifetimeSeconds = 59 }, { $0.maximumOpenJobs = 0 },
        ]
        for change in changes {
            var settings = Settings()
            change(&settings)
            #expect(world.decide(.changeSettings(settings)).code == .invalid)
        }
        #expect(world.decide(.changeSettings(Settings())).events == [])
    }

    @Test(arguments: [
        "drover.yml", "a/b.yml", ".drover/build.yml", "...", "a/.../b", "..a", "a..", "ä/ö",
    ]) func aPathInside(path: String) { #expect(isRelativePathInside(path)) }

    @Test(arguments: [
        "", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "a/./b", "a\n", "a\u{7f}b",
    ]) func aPathThatIsNotInside(path: String) { #expect(!isRelativePathInside(path)) }
}
