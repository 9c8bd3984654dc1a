import Domain
import Foundation
import SwiftProtobuf
import Testing

@testable import Codec

/// Payloads that are their type's message and yet no event: each is refused with the field's name.
struct StrictnessTests {
    @Test func namesMustBeNames() throws {
        for bad in ["", "Web", "a b", "..", "a..b", String(repeating: "a", count: 64)] {
            var message = Drover_V1_WorkerWaiting()
            message.worker = bad
            try refuses(.workerWaiting, message, naming: "worker")
        }
    }

    @Test func digestsHave32Bytes() throws {
        for count in [0, 31, 33] {
            var message = Drover_V1_PackStored()
            (message.region, message.manifest) = ("eu", Data(count: count))
            try refuses(.packStored, message, naming: "manifest")
        }
    }

    @Test func identitiesHave16Bytes() throws {
        var message = Drover_V1_Followed()
        (message.position.log, message.position.chain) = (Data(count: 15), Data(count: 32))
        try refuses(.followed, message, naming: "log")
    }

    @Test func enumerationsAreKnown() throws {
        for stage in [Drover_V1_AttemptStage.unspecified, .UNRECOGNIZED(99)] {
            var message = Drover_V1_JobHeartbeat()
            message.stage = stage
            try refuses(.jobHeartbeat, message, naming: "stage")
        }
        var message = Drover_V1_Refused()
        message.code = "no-such-code"
        try refuses(.refused, message, naming: "code")
    }

    @Test func nestedMessagesAreThere() throws {
        try refuses(.jobEnqueued, Drover_V1_JobEnqueued(), naming: "request")
        try refuses(.targetChanged, Drover_V1_TargetChanged(), naming: "target")
        try refuses(.factTaken, Drover_V1_FactTaken(), naming: "fact")
        var message = Drover_V1_FactTaken()
        message.fact = Drover_V1_GlobalFact()
        try refuses(.factTaken, message, naming: "fact")
        var status = Drover_V1_RegionStatusChanged()
        (status.region, status.status) = ("eu", .live)
        try refuses(.regionStatusChanged, status, naming: "change")
    }

    @Test func commitsAreFullAndLowercase() throws {
        for bad in ["", "abc", String(repeating: "A", count: 40)] {
            var message = Drover_V1_JobEnqueued()
            (message.request.app, message.request.commit) = ("web", bad)
            try refuses(.jobEnqueued, message, naming: "commit")
        }
    }

    @Test func scopesAreGlobalOrOfARegion() throws {
        let wanted = DeployRequest(app: AppName(unchecked: "web"), build: nil, reason: "")
        let build = ProvedBuild(build: BuildID(rawValue: 1), manifest: .zero)
        var message = Drover_V1_DeploymentWaiting()
        message.opening = Drover_V1_DeploymentOpening(
            DeploymentOpening(id: .zero, request: wanted, build: build, deadline: .zero))
        message.opening.request.scope = "region/"
        try refuses(.deploymentWaiting, message, naming: "scope")
    }

    @Test func labelsAscendAndStandOnce() throws {
        for keys in [["b", "a"], ["a", "a"]] {
            var message = Drover_V1_PeerEnrolled()
            message.peer = "p"
            message.labels = keys.map { key in
                var label = Drover_V1_Label()
                label.key = key
                return label
            }
            try refuses(.peerEnrolled, message, naming: "labels")
        }
    }

    @Test func unknownFieldsAreRefusedAtEveryDepth() throws {
        let unknown: [UInt8] = [0xa0, 0x06, 0x01]
        let requeued: [UInt8] = [0x08, 0x01]
        try refuses(.jobRequeued, payload: requeued + unknown, naming: "job-requeued")
        let settings: [UInt8] = [0x0a, 0x03] + unknown
        try refuses(.settingsChanged, payload: settings, naming: "settings")
        let silence: [UInt8] = Array("\u{0A}\u{02}eu\u{10}\u{02}\u{1A}\u{03}".utf8) + unknown
        try refuses(.regionStatusChanged, payload: silence, naming: "silence")
    }

    private func refuses(_ type: EventType, _ message: some SwiftProtobuf.Message, naming field: String) throws {
        try refuses(type, payload: try message.serializedBytes(), naming: field)
    }

    private func refuses(_ type: EventType, payload: [UInt8], naming field: String) throws {
        let failure = #expect(throws: CodecFailure.self) { try type.reencoded(payload) }
        #expect(failure?.code == .malformed)
        #expect(failure?.message.contains(field) == true, "\(failure?.message ?? "accepted")")
    }
}
