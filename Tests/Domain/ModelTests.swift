import Domain
import Testing

@Suite("Properties: the model")
struct ModelTests {
    @Test("random commands, times, keys and crashes lead to what the rules say")
    func agrees() {
        forAll("model", seed: 1, iterations: 60, generate: Step.list) { disagreement(of: Global.self, over: $0) }
    }

    @Test("the random steps reach every kind of event, and every refusal that they can")
    func reach() {
        var reached: [String: Int] = [:]
        var codes: Set<RefusalCode> = []
        for seed in 0..<UInt64(50) {
            var random = SplitMix64(seed: seed)
            var driven = Driven<Global>()
            _ = driven.start()
            for step in Step.list(&random).flatMap(\.parts) {
                if case .command(let command) = step.action(in: driven.world.state),
                    let code = driven.world.decide(command).code
                {
                    codes.insert(code)
                }
                _ = driven.perform(step)
            }
            for event in driven.world.events { reached[kind(of: event), default: 0] += 1 }
        }
        #expect(Set(reached.filter { $0.value >= 3 }.keys) == Self.kinds)
        let never: Set<RefusalCode> = [
            .invalid, .tooLarge, .keyReused, .notLeader, .levelTooLow, .unknownPeer, .appLocked, .alreadyTarget,
            .forked, .outOfOrder,
            // The model's log is of the level before retention, which has properties of its own.
            .buildKept, .buildRetired, .storeFull,
        ]
        #expect(Set(RefusalCode.allCases).subtracting(codes).subtracting(never).isEmpty)
    }

    /// `attemptFailed` of `queue(attemptFailed(…))`.
    private func kind(of event: GlobalEvent) -> String {
        let inner: Any =
            switch event {
            case .log(let event): event
            case .queue(let event): event
            case .replication(let event): event
            case .targets(let event): event
            case .fleet(let event): event
            case .retention(let event): event
            }
        return Mirror(reflecting: inner).children.first?.label ?? "\(inner)"
    }

    private static let kinds: Set<String> = [
        "engineStarted", "engineStalled", "clockJumped", "epochStarted", "settingsChanged", "enqueued", "claimed",
        "heartbeat", "uploaded", "succeeded", "attemptFailed", "attemptReleased", "leaseExpired", "requeued",
        "cancelRequested", "failed", "packStored", "packLost", "deploymentWaiting", "targetChanged", "regionConverged",
        "deploymentEnded", "regionJoined", "regionStatusChanged", "regionLevel", "workerJoined", "workerWaiting",
        "workerDrain", "enqueueReused",
    ]
}

@Suite("Canaries: the model finds a broken rule")
struct CanaryTests {
    private static let mutants: [any GlobalAggregate.Type] = [
        Unfenced.self, LastInFirstOut.self, WorkersWord.self, NoFloor.self, NoMaximum.self, Forgetful.self,
        Unforgetting.self, KeepsKeys.self, Unreplicated.self, Repeating.self, Impatient.self, NotSuperseding.self,
        Unsuspending.self, RegionsFallBack.self, Uncancelling.self,
    ]

    @Test("each mutant is found within the iterations that the true one is tried with", arguments: mutants.indices)
    func found(_ place: Int) {
        let mutant = Self.mutants[place]
        #expect(iterations(mutant) != nil, "\(mutant) is not found")
    }

    private func iterations<A: GlobalAggregate>(_ mutant: A.Type) -> Int? {
        for iteration in 0..<60 {
            var random = SplitMix64(seed: 1 + UInt64(iteration))
            if disagreement(of: mutant, over: Step.list(&random)) != nil { return iteration }
        }
        return nil
    }

    @Test("a mutant's case is shrunk to a few steps")
    func small() throws {
        let found = try #require(
            counterexample(seed: 1, iterations: 60, generate: Step.list) {
                disagreement(of: WorkersWord.self, over: $0)
            })
        #expect(found.steps.count <= 4)
    }
}
