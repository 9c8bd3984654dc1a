import Domain
import Testing

@testable import Codec

/// Whatever a deployment is accepted with, each event that follows from it has its place in a frame.
struct SizeTests {
    private let longName = String(repeating: "n", count: maximumNameBytes)
    private let greatest = Revision(epoch: Epoch(rawValue: .max), number: .max)
    private let end = Timestamp(milliseconds: .max)

    /// A request of the most bytes that are accepted, in this many labels and a reason.
    private func request(labels count: Int) throws -> DeployRequest {
        var labels: [String: String] = [:]
        var request = DeployRequest(
            app: AppName(unchecked: longName), build: BuildID(rawValue: .max),
            scope: .region(RegionName(unchecked: longName)), reason: "", whenReplicated: true, allowEmpty: true,
            expected: greatest)
        for number in 0..<count {
            // As long as there is room for the labels that follow.
            for length in (1...63).reversed() {
                labels["k\(number)"] = String(repeating: "v", count: length)
                request.selector = PeerSelector(labels: labels)
                let left = (count - number - 1) * 11
                request.reason = String(repeating: "r", count: left)
                if request.problem == nil { break }
            }
        }
        request.reason = ""
        while request.problem == nil { request.reason += "r" }
        request.reason.removeLast()
        try #require(request.problem == nil)
        return request
    }

    private func target(_ request: DeployRequest) -> Target {
        let build = ProvedBuild(build: BuildID(rawValue: .max), manifest: .zero)
        return Target(
            app: request.app, scope: request.scope, revision: greatest, deployment: greatest, current: build,
            base: build, previous: build, selector: request.selector, admittedShare: Target.wholeShare,
            actor: .projector(longName), reason: request.reason, issued: end, expires: end)
    }

    @Test(arguments: 0...8) func theLargestDeploymentFits(labels: Int) throws {
        let request = try request(labels: labels)
        let target = target(request)
        let opening = DeploymentOpening(id: greatest, request: request, build: target.current, deadline: end)
        let events: [TargetsEvent] = [
            .deploymentWaiting(opening), .targetChanged(target, .deploy, opening: opening),
            .targetChanged(target, .rollback, opening: opening), .targetChanged(target, .waitingOver, opening: nil),
            .targetChanged(target, .reissue, opening: nil),
            .deploymentEnded(greatest, request.app, .superseded, detail: "by deployment \(greatest)"),
        ]
        let sizes = try events.map { try GlobalCodec().encode(.targets($0)).payload.count }
        let taken = RegionEvent.taken(.target(target), at: LogSequence(rawValue: .max))
        let size = try RegionalCodec().encode(taken).payload.count
        #expect(max(size, sizes.max() ?? 0) <= maximumPayloadBytes)
        // The bound is there for a reason: not much is wasted.
        #expect(sizes[1] > maximumPayloadBytes - 200, "\(sizes)")
    }

    /// Were the limit much greater, some accepted deployment would not fit.
    @Test func aGreaterLimitWouldNotDo() throws {
        var request = try request(labels: 8)
        request.reason += String(repeating: "r", count: 60)
        #expect(request.problem != nil)
        let opening = DeploymentOpening(
            id: greatest, request: request, build: target(request).current, deadline: end)
        #expect(
            code { try GlobalCodec().encode(.targets(.targetChanged(target(request), .deploy, opening: opening))) }
                == .tooLarge)
    }
}
