package import Client
package import Domain
package import Wire

/// What a region asks of the global process. Everything may fail, be late or be repeated; the region goes on serving
/// what it knows.
package protocol RegionUpstream: Sendable {
    func join(endpoint: String) async throws(ClientFailure)
    func feed(after position: LogPosition?, wait: WireDuration) async throws(ClientFailure) -> FeedAnswer
    /// What the whole feed up to now comes to, signed.
    func feedSnapshot() async throws(ClientFailure) -> FeedSnapshotAnswer
    func report(_ levels: [RegionLevel]) async throws(ClientFailure)
    func packStored(
        _ build: BuildID, _ attempt: AttemptNumber, manifest: Digest
    ) async throws(ClientFailure)
    func packLost(_ build: BuildID, detail: String) async throws(ClientFailure)
    func packRemoved(_ build: BuildID) async throws(ClientFailure)
    func reportStore(_ store: StoreLevel) async throws(ClientFailure)
    /// The pack that a worker uploaded here is not what its manifest says: its attempt has failed.
    func uploadFailed(_ job: JobID, _ attempt: AttemptNumber, detail: String) async throws(ClientFailure)
    /// Whether nothing more can come of an attempt: its job has failed, or another attempt's pack is the build.
    func isOver(_ job: JobID, _ attempt: AttemptNumber) async throws(ClientFailure) -> Bool
    func manifest(_ digest: Digest) async throws(ClientFailure) -> [UInt8]
    func releaseKey() async throws(ClientFailure) -> [UInt8]
}

/// The global process over HTTP.
package struct HTTPUpstream: RegionUpstream {
    private let name: RegionName
    private let client: GlobalClient

    package init(name: RegionName, control: String) {
        self.name = name
        client = GlobalClient(endpoint: control, actor: .region(name))
    }

    package func join(endpoint: String) async throws(ClientFailure) {
        _ = try await client.joinRegion(name, endpoint: endpoint)
    }

    package func feed(after position: LogPosition?, wait: WireDuration) async throws(ClientFailure) -> FeedAnswer {
        try await client.feed(for: name, after: position, wait: wait)
    }

    package func feedSnapshot() async throws(ClientFailure) -> FeedSnapshotAnswer {
        try await client.feedSnapshot(for: name)
    }

    package func report(_ levels: [RegionLevel]) async throws(ClientFailure) {
        _ = try await client.reportRegion(name, levels)
    }

    package func packStored(
        _ build: BuildID, _ attempt: AttemptNumber, manifest: Digest
    ) async throws(ClientFailure) {
        _ = try await client.packStored(name, build, attempt, manifest: manifest)
    }

    package func packLost(_ build: BuildID, detail: String) async throws(ClientFailure) {
        _ = try await client.packLost(name, build, detail: detail)
    }

    package func packRemoved(_ build: BuildID) async throws(ClientFailure) {
        _ = try await client.packRemoved(name, build)
    }

    package func reportStore(_ store: StoreLevel) async throws(ClientFailure) {
        _ = try await client.reportStore(name, store)
    }

    package func uploadFailed(_ job: JobID, _ attempt: AttemptNumber, detail: String) async throws(ClientFailure) {
        _ = try await client.reportFailed(job, attempt, .artifact, detail: detail)
    }

    package func isOver(_ job: JobID, _ attempt: AttemptNumber) async throws(ClientFailure) -> Bool {
        do throws(ClientFailure) {
            let job = try await client.job(job)
            let latest = job.attempt ?? attempt
            return job.status == .failed || attempt < latest || (job.status == .succeeded && attempt != latest)
        } catch {
            guard error.code == RefusalCode.unknownJob.rawValue || error.code == TransportCode.notFound.rawValue else {
                throw error
            }
            return true
        }
    }

    package func manifest(_ digest: Digest) async throws(ClientFailure) -> [UInt8] {
        Array(try await client.manifest(digest))
    }

    package func releaseKey() async throws(ClientFailure) -> [UInt8] { try await client.releaseKey() }
}
