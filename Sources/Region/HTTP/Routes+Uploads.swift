import Blobs
import Domain
import Engine
import Foundation
import Hummingbird
import Ports
import ServiceLifecycle
import Serving
import Wire

/// What workers bring: packs in parts, and build output in numbered objects.
extension RegionAPI {
    func addUploadRoutes(to router: Router<ServingContext>) {
        router.get("/v1/uploads/:job/:attempt", use: uploadOffset)
        router.put("/v1/uploads/:job/:attempt", use: putPart)
        router.get("/v1/logs/:job/:attempt/:object", use: output)
        router.put("/v1/logs/:job/:attempt/:object", use: putOutput)
    }

    /// How much is durably here: what a worker that starts again goes on from.
    @Sendable private func uploadOffset(_ request: Request, _ context: ServingContext) async throws -> Response {
        let (job, attempt) = try place(context)
        do {
            if let whole = try await whole(job, attempt) {
                return try .json(UploadAnswer(offset: whole), at: engine.head.sequence)
            }
            let name = RegionKey.upload(job, attempt)
            guard let upload = store.openUploads().first(where: { $0.name == name }) else {
                throw Problem(.notFound, "nothing was uploaded for attempt \(attempt) of job \(job)")
            }
            return try .json(UploadAnswer(offset: try await upload.checkpoint()), at: engine.head.sequence)
        } catch let failure as BlobFailure {
            throw Problem(failure)
        }
    }

    /// One part; the last one makes the pack whole. Nothing is believed of it before it is read back.
    @Sendable private func putPart(_ request: Request, _ context: ServingContext) async throws -> Response {
        let (job, attempt) = try place(context)
        let query = try QueryParameters(request, allowed: ["offset", "total"])
        guard let offset = try query.number("offset"), let total = try query.number("total") else {
            throw Problem(.badQuery, "offset and total are missing: where the part starts, and the pack's whole length")
        }
        let bytes = try await request.bytes(maximum: Self.maximumPartBytes)
        do {
            if let whole = try await whole(job, attempt, total: total) {
                return try .json(UploadAnswer(offset: whole), at: engine.head.sequence)
            }
            let upload = try await keeper.beginUpload(job, attempt, bytes: total)
            let next = try await upload.write(offset: offset, [UInt8](bytes))
            if next == total { try await upload.finish(as: RegionKey.pack(job, attempt)) }
            return try .json(UploadAnswer(offset: next), at: engine.head.sequence)
        } catch let failure as BlobFailure {
            throw Problem(failure)
        }
    }

    /// The length of the attempt's whole pack; nil where there is none. One that is not the pack this region knows was
    /// left by another branch of the global log, whose numbers are given again: it is dropped.
    private func whole(
        _ job: JobID, _ attempt: AttemptNumber, total: UInt64? = nil
    ) async throws -> UInt64? {
        let key = RegionKey.pack(job, attempt)
        guard let bytes = try await store.information(key)?.bytes else { return nil }
        let known = try await look { state, _, _ in
            state.packs[job].flatMap { $0.attempt == attempt ? $0.packedBytes : nil }
        }
        if bytes == known ?? total ?? bytes { return bytes }
        try await store.delete(key)
        return nil
    }

    /// An object that is there with other bytes, and what follows it, is of an attempt that was begun again.
    @Sendable private func putOutput(_ request: Request, _ context: ServingContext) async throws -> Response {
        let (job, attempt) = try place(context)
        let object = try context.id("object", as: LogSequence.self).rawValue
        let bytes = [UInt8](try await request.bytes(maximum: Self.maximumOutputBytes))
        do throws(BlobFailure) {
            let key = RegionKey.output(job, attempt, object)
            do throws(BlobFailure) {
                try await store.put(key, bytes: UInt64(bytes.count), from: OneChunk(bytes))
            } catch {
                guard error.code == .exists else { throw error }
                try await keeper.dropOutput(job, attempt, from: object)
                try await store.put(key, bytes: UInt64(bytes.count), from: OneChunk(bytes))
            }
        } catch {
            throw Problem(error)
        }
        return .nothing(at: engine.head.sequence)
    }

    /// One object of output; with `wait`, as soon as it is here.
    @Sendable private func output(_ request: Request, _ context: ServingContext) async throws -> Response {
        let (job, attempt) = try place(context)
        let key = RegionKey.output(job, attempt, try context.id("object", as: LogSequence.self).rawValue)
        let query = try QueryParameters(request, allowed: ["wait"])
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(try query.waitMilliseconds(settings)))
        do {
            while true {
                if let information = try await store.information(key) {
                    let bytes = try await store.read(key, offset: 0, count: Int(information.bytes))
                    return .bytes(bytes, type: "application/octet-stream", at: engine.head.sequence)
                }
                guard ContinuousClock.now < deadline, !Task.isShuttingDownGracefully else { break }
                try await Task.sleep(for: .milliseconds(Self.outputPollMilliseconds))
            }
        } catch let failure as BlobFailure {
            throw Problem(failure)
        }
        throw Problem(.notFound, "this object of the output is not here (yet)")
    }

    /// Objects arrive at most one a second, so a look every so often costs little and needs no registry of waiters.
    private static var outputPollMilliseconds: Int64 { 200 }

    private func place(_ context: ServingContext) throws(Problem) -> (JobID, AttemptNumber) {
        (try context.id("job"), try context.id("attempt"))
    }
}
