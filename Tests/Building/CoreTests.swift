import Domain
import Testing

@testable import Building

struct OutputSealerTests {
    @Test func sealsWhenFull() {
        var sealer = OutputSealer(maximumBytes: 4, maximumAgeMilliseconds: 1000)
        #expect(sealer.append([1, 2, 3], now: 0) == [])
        #expect(
            sealer.append([4, 5, 6, 7, 8, 9], now: 10) == [
                SealedOutput(number: 0, bytes: [1, 2, 3, 4]), SealedOutput(number: 1, bytes: [5, 6, 7, 8]),
            ])
        #expect(sealer.deadline == 1010)
        #expect(sealer.finish() == SealedOutput(number: 2, bytes: [9]))
        #expect(sealer.finish() == nil)
        #expect(sealer.deadline == nil)
    }

    @Test func sealsWhenOldAndNeverEarlier() {
        var sealer = OutputSealer(maximumBytes: 100, maximumAgeMilliseconds: 1000)
        #expect(sealer.append([], now: 5) == [])
        #expect(sealer.tick(now: 10_000) == nil)
        #expect(sealer.append([1], now: 100) == [])
        #expect(sealer.append([2], now: 1000) == [])
        #expect(sealer.tick(now: 1099) == nil)
        #expect(sealer.tick(now: 1100) == SealedOutput(number: 0, bytes: [1, 2]))
        #expect(sealer.append([3], now: 1200) == [])
        #expect(sealer.deadline == 2200)
    }

    /// Whatever the chunks and times are: nothing is lost, nothing too large, numbers have no gap.
    @Test(arguments: UInt64(1)...20)
    func keepsEveryByte(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var sealer = OutputSealer(maximumBytes: 16, maximumAgeMilliseconds: 50)
        var written: [UInt8] = []
        var sealed: [SealedOutput] = []
        var now: Int64 = 0
        for _ in 0..<200 {
            now += Int64.random(in: 0...30, using: &random)
            if let piece = sealer.tick(now: now) { sealed.append(piece) }
            let chunk = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            written += chunk
            sealed += sealer.append(chunk, now: now)
        }
        if let piece = sealer.finish() { sealed.append(piece) }
        #expect(sealed.flatMap(\.bytes) == written)
        #expect(sealed.map(\.number) == Array(0..<UInt64(sealed.count)))
        #expect(sealed.allSatisfy { (1...16).contains($0.bytes.count) })
    }
}

/// SplitMix64: the same numbers from a seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

struct RepositoryAddressTests {
    @Test(arguments: [
        ("/srv/git/web.git", "/srv/git/web.git"), ("file:///srv/git/web", "/srv/git/web"),
        ("/with space", "/with space"),
    ])
    func local(_ text: String, path: String) throws {
        #expect(try #require(RepositoryAddress(text)).localPath == path)
    }

    @Test(arguments: [
        "https://example.org/web.git", "http://example.org:8080/web", "ssh://git@example.org:22/web",
        "git://example.org/web", "git@example.org:team/web.git", "example.org:web", "HTTPS://example.org/web",
    ])
    func remote(_ text: String) throws {
        #expect(try #require(RepositoryAddress(text)).localPath == nil)
    }

    @Test(arguments: [
        "", "-", "--upload-pack=touch /tmp/x", "ext::sh -c touch% /tmp/x", "EXT::sh", "fd::17", "foo-bar::x", "web",
        "./web", "../web", "ftp://example.org/web", "file://web", "https://", "https:///web",
        "ssh://-oProxyCommand=x/web",
        "ssh://git@-oProxyCommand=x/web", "-oProxyCommand=x:web", "git@-oProxyCommand=x:web", "git@:web", "host:",
        "a\nb",
        "/a\u{0}b", "https://exa mple.org/x",
    ])
    func refused(_ text: String) {
        #expect(RepositoryAddress(text) == nil)
    }

    @Test func secretsAreNotShown() throws {
        #expect(
            try #require(RepositoryAddress("https://ada:s3cret@example.org/web")).shown == "https://…@example.org/web")
        #expect(
            RepositoryAddress.withoutSecrets(
                "fatal: 'https://t0ken@a.org/x' and http://b.org/p@q and https://u:p@c.org")
                == "fatal: 'https://…@a.org/x' and http://b.org/p@q and https://…@c.org")
    }
}

struct FailureDetailTests {
    @Test func theLastLinesThatFit() {
        let tail = Array((1...100).map { "line \($0)\n" }.joined().utf8)
        let detail = failureDetail("It failed.", tail: tail, maximumBytes: 40)
        #expect(detail == "It failed.\nline 98\nline 99\nline 100")
        #expect(failureDetail("It failed.") == "It failed.")
    }

    @Test func controlCharactersAndSecretsAreTakenOut() {
        let tail = Array("\u{1b}[31merror:\u{1b}[0m bad\u{7}\r\nsee https://u:p@h/x\n\n".utf8)
        #expect(failureDetail("Head", tail: tail) == "Head\nerror: bad\nsee https://…@h/x")
    }

    @Test(arguments: [0, 1, 5, 9, 10, 11, 100, 1000])
    func neverLargerThanAllowed(_ maximum: Int) {
        let tail = [UInt8](repeating: 0xff, count: 3000) + Array("\näöü🐑\n".utf8)
        let detail = failureDetail(String(repeating: "🐑ä", count: 400), tail: tail, maximumBytes: maximum)
        #expect(detail.utf8.count <= maximum)
        #expect(failureDetail("x", tail: tail, maximumBytes: maximum).utf8.count <= maximum)
    }
}

struct ClaimRefusalTests {
    @Test func eachReasonIsNewsOnce() {
        var refusal = ClaimRefusal()
        #expect(refusal.isNews("store-full", "one is full") == true)
        #expect(refusal.isNews("store-full", "one is full") == false)
        #expect(refusal.isNews("store-full", "two is full") == true)
        refusal.ended()
        #expect(refusal.isNews("store-full", "two is full") == true)
    }
}
