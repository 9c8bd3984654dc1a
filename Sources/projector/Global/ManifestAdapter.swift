import API
import Blobs
import Client
import Domain
import Foundation
import Packs
import Ports
import Wire

/// Checks a worker's manifest against its attempt, signs it with the release key and keeps it as a blob.
struct ManifestAdapter: ManifestSigner {
    let key: ReleaseKey
    let blobs: DirectoryBlobStore

    var publicKey: [UInt8] { key.publicKey }

    func signature(over bytes: [UInt8]) throws -> [UInt8] { try key.signature(over: bytes) }

    func sign(_ upload: UnsignedUpload) async throws(Problem) -> Digest {
        let signed: [UInt8]
        do throws(PackFailure) {
            let unsigned = [UInt8](upload.manifest.utf8)
            try check(Manifest.decode(unsigned), upload)
            signed = try Manifest.sign(unsigned, signer: key)
        } catch {
            throw Problem(.invalid, "the manifest is not accepted: \(error.message)")
        }
        let digest = ContentHasher.digest(signed)
        do throws(BlobFailure) {
            try await blobs.put(.content(digest), bytes: UInt64(signed.count), from: OneChunk(signed))
        } catch {
            throw Problem(.internalFailure, "the manifest cannot be stored: \(error.message)")
        }
        return digest
    }

    private func check(_ manifest: Manifest, _ upload: UnsignedUpload) throws(PackFailure) {
        let facts = manifest.facts
        let isOfAttempt =
            facts.app == upload.app && facts.build == upload.job && facts.attempt == upload.attempt
            && facts.commit == upload.commit.rawValue
        guard isOfAttempt else {
            throw PackFailure(
                .invalidManifest, "it is of \(facts.app)/\(facts.build), attempt \(facts.attempt), not of this attempt")
        }
        guard facts.rawLength == upload.rawBytes, manifest.totals.packedLength == upload.packedBytes else {
            throw PackFailure(.invalidManifest, "its lengths are not the reported ones")
        }
    }
}

/// Asks the regions for what only they have.
struct RegionAdapter: OutputReader, PeerDirectory {
    private static let actor = EventActor.projector("api")

    func output(_ place: OutputPlace, waitMilliseconds: Int64) async throws(Problem) -> [UInt8]? {
        let client = RegionClient(endpoint: place.endpoint, actor: Self.actor, settings: .withoutRetries)
        do throws(ClientFailure) {
            let wait = waitMilliseconds > 0 ? WireDuration(milliseconds: waitMilliseconds) : nil
            return try await client.output(place.job, place.attempt, object: place.object, wait: wait)
                .map { [UInt8]($0) }
        } catch {
            throw error.asProblem
        }
    }

    func peers(
        of region: RegionName, endpoint: String, at sequence: LogSequence?
    ) async throws(Problem) -> [UInt8] {
        let client = RegionClient(endpoint: endpoint, actor: Self.actor, settings: .withoutRetries)
        let list: PeerList
        do throws(ClientFailure) { list = try await client.peers(at: sequence) } catch { throw error.asProblem }
        do { return [UInt8](try WireJSON.encode(list)) } catch {
            throw Problem(.internalFailure, "the peers of \(region) cannot be written: \(error)")
        }
    }

    func events(of peer: PeerName, in region: RegionName, endpoint: String) async throws(Problem) -> [UInt8] {
        let client = RegionClient(endpoint: endpoint, actor: Self.actor, settings: .withoutRetries)
        let answer: PeerEventsAnswer
        do throws(ClientFailure) { answer = try await client.events(of: peer) } catch { throw error.asProblem }
        do { return [UInt8](try WireJSON.encode(answer)) } catch {
            throw Problem(.internalFailure, "the events of peer \(peer) of \(region) cannot be written: \(error)")
        }
    }
}
