import Testing

@testable import Domain
@testable import Region

/// What a region makes of a pack that is not in its store as it should be.
@Suite struct UnsoundPackTests {
    private func pack(_ number: UInt64, isSettled: Bool) -> RegionPack {
        RegionPack(
            app: web, attempt: attempt(number), manifest: .zero, packedBytes: 1, sources: [here], isSettled: isSettled,
            phase: .wanted, since: .zero)
    }

    @Test func onlyTheAttemptThatIsWaitedForFails() {
        #expect(UnsoundPack(attempt(2), of: pack(2, isSettled: true)) == .lost)
        #expect(UnsoundPack(attempt(2), of: pack(2, isSettled: false)) == .failedAttempt)
        #expect(UnsoundPack(attempt(1), of: pack(2, isSettled: true)) == .forgotten)
        #expect(UnsoundPack(attempt(1), of: pack(2, isSettled: false)) == .forgotten)
        #expect(UnsoundPack(attempt(1), of: nil) == .forgotten)
    }
}
