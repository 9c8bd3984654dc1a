import Domain
import Foundation
import Testing
import Wire

struct DurationTests {
    @Test(arguments: [
        ("500ms", 500), ("10s", 10_000), ("3m", 180_000), ("2h", 7_200_000), ("7", 7000), ("0s", 0),
        ("366h", 366 * 3_600_000),
    ])
    func reads(_ text: String, _ milliseconds: Int64) {
        #expect(WireDuration(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "s", "-1s", "+1s", "1.5s", "1 s", "10S", "10sec", "99999999999999999999s", "18446744073709551615h", "٣s",
        "1s1s", "0x10s", "9000h",
    ])
    func refuses(_ text: String) {
        #expect(WireDuration(text) == nil)
    }

    @Test(arguments: [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 5_400_000])
    func writesWhatItReads(_ milliseconds: Int64) {
        let duration = WireDuration(milliseconds: milliseconds)
        #expect(WireDuration(duration.description) == duration)
    }
}

struct PlainAnswerTests {
    private static func answer(_ text: String, number: UInt64) -> ClaimAnswer {
        ClaimAnswer(
            job: JobID(rawValue: number), attempt: AttemptNumber(rawValue: number / 3),
            request: JobRequest(
                app: AppName(unchecked: "web"), repository: text,
                commit: CommitID(rawValue: String(repeating: "0a", count: 20))!, recipePath: text + "x"),
            leaseSeconds: 60, heartbeatSeconds: 0, jobTimeoutSeconds: .max, regionEndpoint: text,
            sequence: LogSequence(rawValue: number))
    }

    /// The encoder is the measure, for plain texts and for those that it escapes.
    @Test(arguments: [
        "", "https://git.example.org/a/b.git", "a\"b", "a\\b", "tab\t", "nul\u{0}", "\u{7f}", "\u{80}é漢🙂", "\u{2028}",
        "</script>",
    ])
    func aClaimsAnswerIsAsTheEncoderWritesIt(_ text: String) throws {
        for number in [0, 9, 10, 12_345, UInt64(1) << 53, .max] {
            let answer = Self.answer(text, number: number)
            #expect(try answer.bytes() == [UInt8](WireJSON.encode(answer)))
        }
    }
}

struct TimeTests {
    @Test func writesUTCWithMilliseconds() {
        #expect(WireTime(Timestamp(milliseconds: 0)).text == "1970-01-01T00:00:00.000Z")
        #expect(WireTime(Timestamp(milliseconds: 1_709_208_000_123)).text == "2024-02-29T12:00:00.123Z")
    }

    @Test func readsWhatItWrites() {
        for milliseconds in stride(from: Int64(0), to: 4_102_444_800_000, by: 86_399_999_777) {
            let time = WireTime(Timestamp(milliseconds: milliseconds + 7))
            #expect(WireTime(text: time.text) == time)
        }
        #expect(WireTime(text: "2024-02-29T12:00:00.5Z")?.timestamp.milliseconds == 1_709_208_000_500)
        #expect(WireTime(text: "1969-12-31T23:59:59.999Z")?.timestamp.milliseconds == -1)
        #expect(WireTime(Timestamp(milliseconds: -1)).text == "1969-12-31T23:59:59.999Z")
        #expect(WireTime(text: "2024-02-29T12:00:00Z")?.timestamp.milliseconds == 1_709_208_000_000)
    }

    @Test(arguments: [
        "", "2024", "2024-02-30T12:00:00Z", "yesterday", "2024-02-29T12:00", "2024-02-29T25:00:00Z",
        "2023-02-29T00:00:00Z", "2024-02-29T12:00:00", "2024-02-29T12:00:60Z",
        "2024-02-29T12:00:00.Z", "2024-02-29T12:00:00Z ",
    ])
    func refuses(_ text: String) {
        #expect(WireTime(text: text) == nil)
    }
}

struct StrictDecodingTests {
    private func problem<Body: WireRequest>(_ type: Body.Type, _ json: String) -> Problem? {
        do throws(Problem) {
            _ = try WireJSON.decodeStrictly(type, from: Data(json.utf8))
            return nil
        } catch {
            return error
        }
    }

    private static let commit = String(repeating: "a", count: 40)

    @Test func readsARequest() throws {
        let body = try WireJSON.decodeStrictly(
            EnqueueBody.self,
            from: Data(#"{"app":"web","repository":"/r","commit":"\#(Self.commit)","priority":3,"force":true}"#.utf8))
        #expect(body.request.recipePath == "drover.yml")
        #expect(body.request.priority == 3)
        #expect(body.request.isForced)
    }

    @Test func namesTheField() {
        let commit = Self.commit
        let cases = [
            (#"{"repository":"/r","commit":"\#(commit)"}"#, "app is missing"),
            (#"{"app":7,"repository":"/r","commit":"\#(commit)"}"#, "app must be a text"),
            (#"{"app":null,"repository":"/r","commit":"\#(commit)"}"#, "app must be a text, not null"),
            (#"{"app":"../x","repository":"/r","commit":"\#(commit)"}"#, "app is not valid: a name is 1 to 63"),
            (#"{"app":"web","repository":"/r","commit":"main"}"#, "commit is not valid: a commit is its full id"),
            (#"{"app":"web","repository":"/r","commit":"\#(commit)","force":"yes"}"#, "force must be true or false"),
            (#"{"app":"web","repository":"/r","commit":"\#(commit)","priority":1.5}"#, "priority is out of bounds"),
            (
                #"{"app":"web","repository":"/r","commit":"\#(commit)","priority":99999999999}"#,
                "priority is out of bounds"
            ),
            (#"{"app":"web","repository":"/r","commit":"\#(commit)","priorty":1}"#, "priorty is not a field"),
        ]
        for (json, words) in cases {
            let problem = problem(EnqueueBody.self, json)
            #expect(problem?.detail.contains(words) == true, "\(json): \(String(describing: problem))")
            #expect(problem?.status == 422)
        }
    }

    @Test func namesTheFieldInAList() {
        let level = #"{"app":"web","revision":"1.1","selected":-1,"healthy":0,"failed":0,"silent":0,"detail":""}"#
        let problem = problem(RegionReportBody.self, #"{"levels":[\#(level)]}"#)
        #expect(problem?.code == "invalid")
        #expect(problem?.detail.contains("a number in the body is out of bounds") == true)
        let missing = self.problem(RegionReportBody.self, #"{"levels":[{"app":"web"}]}"#)
        #expect(missing?.detail.hasPrefix("levels.") == true)
        #expect(missing?.detail.hasSuffix("revision is missing") == true)
    }

    @Test func anEmptyBodyIsAnEmptyObject() {
        #expect(problem(EmptyBody.self, "") == nil)
        #expect(problem(ClaimBody.self, "") == nil)
        #expect(problem(ReasonBody.self, "")?.detail == "reason is missing")
    }

    @Test(arguments: [
        "{", "[]", "nul", "\"text\"", "{\"a\":}", "\u{FEFF}x", "{'app':1}", String(repeating: "[", count: 200_000),
        String(repeating: "{\"a\":", count: 100_000),
    ])
    func refusesWhatIsNoObject(_ json: String) {
        let problem = problem(ReasonBody.self, json)
        #expect(problem?.code == "bad-json" || problem?.code == "invalid")
        #expect((400..<500).contains(problem?.status ?? 0))
    }

    @Test func refusesBytesThatAreNotUTF8() {
        let bytes = Data([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])
        #expect(throws: Problem.self) { try WireJSON.decodeStrictly(ReasonBody.self, from: bytes) }
    }

    @Test func aLongFieldNameIsShownInPart() {
        let name = String(repeating: "x", count: 5000)
        let problem = problem(ReasonBody.self, #"{"reason":"r","\#(name)":1}"#)
        #expect(problem?.detail.contains("xxx...") == true)
        #expect((problem?.detail.count ?? 0) < 300)
    }
}

struct ProblemTests {
    @Test func everyRefusalHasAStatusAndATitle() {
        for code in RefusalCode.allCases {
            let problem = Problem(Refusal(code, "words"), at: LogSequence(rawValue: 7))
            #expect((400..<600).contains(problem.status))
            #expect(problem.refusalCode == code)
            #expect(problem.type == "urn:drover:problem:\(code.rawValue)")
            #expect(problem.sequence?.rawValue == 7)
            #expect(problem.title.first?.isUppercase == true)
        }
        #expect(RefusalCode.revisionConflict.status == 412)
        #expect(RefusalCode.unknownJob.status == 404)
        #expect(RefusalCode.jobEnded.status == 410)
        #expect(RefusalCode.staleAttempt.status == 409)
        #expect(RefusalCode.notLeader.status == 503)
    }

    @Test func everyTransportCodeHasOneStatusWithItsRefusal() {
        for code in TransportCode.allCases {
            guard let refusal = RefusalCode(rawValue: code.rawValue) else { continue }
            #expect(refusal.status == code.status, "\(code)")
        }
    }

    @Test func survivesItsOwnJSON() throws {
        var problem = Problem(.forked, "go back")
        problem.position = .start(of: LogIdentity(high: 1, low: 2))
        let json = try WireJSON.encode(problem)
        #expect(try WireJSON.decode(Problem.self, from: json) == problem)
        #expect(String(decoding: json, as: UTF8.self).contains(#""code":"forked""#))
    }
}

struct BodyTests {
    @Test func aDeploymentNamesABuildOrARollback() throws {
        let both = Data(#"{"app":"web","build":1,"rollback":true,"reason":"r"}"#.utf8)
        let neither = Data(#"{"app":"web","reason":"r"}"#.utf8)
        let denied = Data(#"{"app":"web","rollback":false,"reason":"r"}"#.utf8)
        for json in [both, neither, denied] {
            let body = try WireJSON.decodeStrictly(DeployBody.self, from: json)
            #expect(throws: Problem.self) { try body.request(expected: nil) }
        }
        let back = try WireJSON.decodeStrictly(
            DeployBody.self, from: Data(#"{"app":"web","rollback":true,"reason":"r","scope":"region/eu"}"#.utf8))
        let expected = Revision(epoch: .first, number: 4)
        let request = try back.request(expected: expected)
        #expect(request.build == nil)
        #expect(request.expected == expected)
        #expect(request.scope.description == "region/eu")
    }

    @Test func requestsSurviveTheirOwnJSON() throws {
        guard let app = AppName(rawValue: "web"), let commit = CommitID(rawValue: String(repeating: "0", count: 64))
        else { Issue.record("names"); return }
        let request = JobRequest(app: app, repository: "https://x/y", commit: commit, priority: -5, isForced: true)
        let body = try WireJSON.decodeStrictly(EnqueueBody.self, from: WireJSON.encode(EnqueueBody(request)))
        #expect(body.request == request)
        let deploy = DeployRequest(
            app: app, build: JobID(rawValue: 3), selector: PeerSelector(labels: ["zone": "a"]), reason: "why",
            whenReplicated: true)
        let sent = try WireJSON.decodeStrictly(DeployBody.self, from: WireJSON.encode(DeployBody(deploy)))
        #expect(try sent.request(expected: nil) == deploy)
    }

    @Test func everyFieldNameIsSnakeCase() {
        let all: [any WireRequest.Type] = [
            EnqueueBody.self, EmptyBody.self, ReasonBody.self, WorkerJoinBody.self, ClaimBody.self, HeartbeatBody.self,
            UploadedBody.self, FailedBody.self, DetailBody.self, DeployBody.self, RegionJoinBody.self,
            RegionReportBody.self, PackStoredBody.self, QueryBody.self, EnrolBody.self, PeerReportBody.self,
            AnnounceBody.self,
        ]
        for type in all {
            for field in type.fields {
                #expect(field.allSatisfy { $0.isLowercase || $0 == "_" }, "\(type).\(field)")
            }
        }
    }

    @Test func aFeedSurvivesItsJSON() throws {
        guard let region = RegionName(rawValue: "eu") else { Issue.record("name"); return }
        let answer = FeedAnswer(
            facts: [
                TakenFact(.region(region, endpoint: "http://x", .live), at: LogSequence(rawValue: 3)),
                TakenFact(.settings(Settings()), at: LogSequence(rawValue: 4)),
            ], position: .start(of: LogIdentity(high: 1, low: 2)), sequence: LogSequence(rawValue: 9))
        #expect(try WireJSON.decode(FeedAnswer.self, from: WireJSON.encode(answer)) == answer)
    }

    @Test func valuesKeepTheirKind() throws {
        let values: [WireValue] = [.null, .integer(.max), .integer(-3), .real(1.5), .text(""), .text("x")]
        #expect(try WireJSON.decode([WireValue].self, from: WireJSON.encode(values)) == values)
        #expect(try WireJSON.encode([WireValue.real(.infinity)]) == Data(#"["inf"]"#.utf8))
    }

    @Test func actorsAreThoseWhoMayCall() {
        #expect(WireActor.parse("person:ada") == .person("ada"))
        #expect(WireActor.parse("worker:w-1")?.kind == .worker)
        for text in [
            "", "person", "person:", "system:engine", "projector:x", "worker:../x", "person:a b", "person:é",
            "person:" + String(repeating: "x", count: 64), "peer:", "Person:ada",
        ] { #expect(WireActor.parse(text) == nil, "\(text)") }
    }
}
