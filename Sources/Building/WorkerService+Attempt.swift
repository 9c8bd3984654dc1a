import Client
import Dispatch
import Domain
import Foundation
import Logging
import Packs
import Ports
import Synchronization
import Wire

/// The work of one attempt: each ends with the fact that the machine waits for.
extension WorkerService {
    /// Bytes of one part of an upload: bounded memory however large the pack.
    static let partBytes = 8 << 20

    private func work(_ key: AttemptKey) -> AttemptWork? { attempt.withLock { $0?.job.key == key ? $0 : nil } }

    private func change(_ key: AttemptKey, _ body: (inout AttemptWork) -> Void) {
        attempt.withLock { attempt in
            guard var work = attempt, work.job.key == key else { return }
            body(&work)
            attempt = work
        }
    }

    func build(_ job: ClaimedJob) async {
        guard let work = work(job.key) else { return }
        let workspace: Workspace
        do {
            workspace = try await workspaces.create(job.key)
        } catch {
            return tell(.buildEnded(job.key, BuildFailure(.snapshot, detail: "\(error)")))
        }
        let output = OutputUploader(key: job.key, region: work.region, now: { self.now() }, logger: logger)
        let outcome = await withTaskGroup(of: Void.self) { group in
            group.addTask { await output.run() }
            let outcome = await BuildRun(settings: configuration.build).run(
                job, in: workspace, output: { await output.write($0) },
                onStage: { self.tell(.stageChanged(job.key, $0)) })
            output.close()
            group.addTask { try? await Task.sleep(for: .milliseconds(OutputUploader.flushMilliseconds)) }
            await group.next()
            group.cancelAll()
            return outcome
        }
        switch outcome {
        case .built(let artifact):
            change(job.key) {
                $0.artifact = artifact
                $0.packPath = workspace.root + "/pack"
            }
            tell(.buildEnded(job.key, nil))
        case .failed(let failure): tell(.buildEnded(job.key, failure))
        }
    }

    func pack(_ key: AttemptKey) async {
        guard let work = work(key), let artifact = work.artifact, let path = work.packPath else { return }
        let request = packRequest(work.job, artifact)
        let writer = PackWriter(settings: configuration.pack)
        let isCancelled = Mutex(false)
        let result: Result<Manifest, PackFailure> = await withTaskCancellationHandler {
            await onThread { () throws(PackFailure) in
                try writer.pack(
                    artifact: artifact.path, to: path, request, isCancelled: { isCancelled.withLock { $0 } })
            }
        } onCancel: {
            isCancelled.withLock { $0 = true }
        }
        switch result {
        case .success(let manifest):
            change(key) { $0.manifest = manifest }
            tell(.packed(key))
        case .failure where Task.isCancelled: tell(.packFailed(key, .cancelled))
        case .failure(let failure):
            tell(.packFailed(key, BuildFailure(.artifact, detail: failureDetail(failure.message))))
        }
    }

    private func packRequest(_ job: ClaimedJob, _ artifact: BuiltArtifact) -> PackRequest {
        let recipe = ContentHasher.digest(artifact.recipeBytes)
        return PackRequest(
            app: job.request.app, build: job.key.job, attempt: job.key.attempt, commit: job.request.commit.rawValue,
            repository: RepositoryAddress.withoutSecrets(job.request.repository), run: artifact.recipe.run,
            provenance: PackProvenance(
                worker: configuration.name, region: configuration.region,
                builtAt: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)), recipe: recipe,
                buildCommand: String(artifact.recipe.build.joined(separator: "; ").prefix(1000))))
    }

    /// Goes on from what the region has: after a lost answer, and after its restart.
    func upload(_ key: AttemptKey) async {
        guard let work = work(key), let path = work.packPath, let manifest = work.manifest else { return }
        let total = manifest.totals.packedLength
        var moved: UInt64 = 0
        do throws(ClientFailure) {
            var offset = try await work.region.upload(key.job, key.attempt)?.offset ?? 0
            // What is longer than this pack is another one's, and the region drops it.
            if offset > total { offset = 0 }
            repeat {
                if Task.isCancelled { throw .cancelled }
                let start = offset
                let part = await onThread { Self.part(of: path, at: start, count: Self.partBytes) }
                guard let part else { throw .badAnswer("the pack \(path) cannot be read") }
                let answer = try await work.region.putPart(
                    key.job, key.attempt, offset: offset, totalBytes: total, part)
                guard answer.offset > offset || answer.offset == total else {
                    throw .badAnswer("the region took nothing of a part at \(offset)")
                }
                (offset, moved) = (answer.offset, moved + answer.offset - offset)
            } while offset < total
            tell(.uploaded(key))
        } catch {
            logger.warning("the upload waits", metadata: ["attempt": "\(key)", "failure": "\(error)"])
            tell(Self.uploadEnd(key, configuration.region, error, hasMoved: moved > 0))
        }
    }

    /// A gap, or bytes of another attempt in the way, pass: the next try goes on from what the region has then.
    static func uploadEnd(
        _ key: AttemptKey, _ region: RegionName, _ failure: ClientFailure, hasMoved: Bool
    ) -> Fact {
        if case .problem(let problem) = failure, failure.isRefusal, problem.status != 404, problem.status != 409 {
            return .uploadRejected(
                key, detail: failureDetail("The region \(region) refuses the pack: \(problem.detail)"))
        }
        let isFull = failure.code == BlobFailure.Code.full.rawValue
        let state = isFull ? "is full: free space there, or enlarge its disk." : "does not take the pack."
        return .uploadFailed(
            key,
            UploadTrouble(
                isFull ? .storeFull : .unreachable,
                detail: failureDetail("The store of region \(region) \(state) \(failure)"), hasMoved: hasMoved))
    }

    private static func part(of path: String, at offset: UInt64, count: Int) -> Data? {
        guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? handle.close() }
        do {
            try handle.seek(toOffset: offset)
            return try handle.read(upToCount: count) ?? Data()
        } catch {
            return nil
        }
    }

    func heartbeat(_ key: AttemptKey, counter: UInt64, stage: AttemptStage) async {
        do throws(ClientFailure) {
            let answer = try await client.heartbeat(key.job, key.attempt, counter: counter, stage: stage)
            tell(.heartbeatAnswered(key, counter: counter, answer.cancelled ? .cancel : .continue))
        } catch {
            if error.isRefusal {
                tell(.heartbeatAnswered(key, counter: counter, .stale))
            } else {
                tell(.heartbeatFailed(key, counter: counter))
            }
        }
    }

    func reportUploaded(_ key: AttemptKey) async {
        guard let manifest = work(key)?.manifest else { return }
        let body = UploadedBody(
            region: configuration.region, rawBytes: manifest.facts.rawLength,
            packedBytes: manifest.totals.packedLength,
            manifest: String(decoding: manifest.unsignedBytes, as: UTF8.self))
        do throws(ClientFailure) {
            _ = try await client.reportUploaded(key.job, key.attempt, body)
            tell(.reported(key, .accepted))
        } catch {
            logger.warning("the upload was not taken", metadata: ["attempt": "\(key)", "failure": "\(error)"])
            tell(Self.reportEnd(key, error))
        }
    }

    /// A pack that the control plane finds wrong is a failure that somebody must hear of.
    static func reportEnd(_ key: AttemptKey, _ failure: ClientFailure) -> Fact {
        if case .problem(let problem) = failure, problem.status == 413 || problem.status == 422 {
            return .reportRejected(key, detail: failureDetail("The pack is refused: \(problem.detail)"))
        }
        return failure.isRefusal ? .reported(key, .refused) : .reportFailed(key)
    }

    func reportFailed(_ key: AttemptKey, _ failure: BuildFailure) async {
        await report(key) { () throws(ClientFailure) in
            _ = try await self.client.reportFailed(key.job, key.attempt, failure.reason, detail: failure.detail)
        }
    }

    func release(_ key: AttemptKey) async {
        await report(key) { () throws(ClientFailure) in
            _ = try await self.client.release(key.job, key.attempt, detail: "the worker is shutting down")
        }
    }

    private func report(_ key: AttemptKey, _ call: () async throws(ClientFailure) -> Void) async {
        do throws(ClientFailure) {
            try await call()
            tell(.reported(key, .accepted))
        } catch {
            logger.warning("a report was not taken", metadata: ["attempt": "\(key)", "failure": "\(error)"])
            tell(error.isRefusal ? .reported(key, .refused) : .reportFailed(key))
        }
    }

    /// Until the job is over for this attempt (succeeded, failed, or another attempt's), or a whole wait has passed
    /// without a change of it.
    func awaitEnd(_ key: AttemptKey) async {
        var (changed, failures) = (LogSequence.zero, 0)
        while !Task.isCancelled {
            do throws(ClientFailure) {
                let job = try await client.job(
                    key.job, changedAfter: changed, wait: WireDuration(milliseconds: Self.claimWaitMilliseconds))
                if job.status.hasEnded || job.attempt != key.attempt { return tell(.jobEnded(key)) }
                if job.changed <= changed { return tell(.endNotSeen(key)) }
                (changed, failures) = (job.changed, 0)
            } catch {
                failures += 1
                try? await Task.sleep(for: .milliseconds(settings.retryDelay(failures: failures)))
            }
        }
    }

    private static let threads = DispatchQueue(label: "drover.building.files", attributes: .concurrent)

    private func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Self.threads.async { continuation.resume(returning: body()) }
        }
    }

    private func onThread<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async -> Result<Value, Failure> {
        await withCheckedContinuation { continuation in
            Self.threads.async { continuation.resume(returning: Result { () throws(Failure) in try body() }) }
        }
    }
}

extension ClientFailure {
    /// The control plane has decided against it: repeating will not help. One whose log is forked decides nothing until it
    /// is restarted with a new epoch.
    var isRefusal: Bool {
        guard case .problem(let problem) = self, problem.code != TransportCode.forked.rawValue else { return false }
        return (400..<500).contains(problem.status) && problem.status != 429 && problem.status != 408
    }
}
