package import Domain

/// A regional log's events as rows.
package enum RegionalViews: ViewMapping {
    package typealias Event = RegionEvent

    package enum Change: Int, CaseIterable, Sendable {
        case adopt
        case knowPack, settlePack, storePack, losePack, forgetPack, forgetPacks, closePack
        case addSource, dropSource, forgetSources, forgetAllSources
        case insertTarget, closeTarget
        case insertRegion, changeRegion, closeRegion
        case insertPeer, enrolPeer, silencePeer, closePeer, insertPeerApp, closePeerApp
    }

    package static var schema: ViewSchema { .regional }

    private static let packs = VersionedTable(
        "pack_versions", keys: ["build"],
        values: ["app", "attempt", "manifest", "packed_bytes", "settled", "since", "status", "detail"])
    private static let regions = VersionedTable("region_versions", keys: ["name"], values: ["status", "endpoint"])
    private static let peers = VersionedTable(
        "peer_versions", keys: ["name"], values: ["labels", "endpoint", "status", "time"])
    private static let peerApps = VersionedTable(
        "peer_app_versions", keys: ["peer", "app"], values: ["build", "epoch", "number", "health", "detail", "time"])

    private static let sourceIsCurrent = "build = ?2 AND to_sequence IS NULL"

    package static func sql(of change: Change) -> String {
        switch change {
        case .adopt: "INSERT OR IGNORE INTO adoption_rows VALUES (?1, ?2, ?3, ?4)"
        case .knowPack:
            packs.insert(
                ["status": "'wanted'", "detail": "''"],
                where: "NOT EXISTS (SELECT 1 FROM pack_versions WHERE build = ?2 AND to_sequence IS NULL "
                    + "AND (attempt > ?4 OR (attempt = ?4 AND manifest = ?5)))")
        case .settlePack: packs.change(["settled": "1"], where: "settled = 0 AND attempt = ?3")
        case .storePack:
            packs.change(["status": "'stored'", "detail": "''"], where: "attempt = ?3 AND manifest = ?4")
        case .losePack: packs.change(["status": "'lost'", "detail": "?3"], where: "status <> 'lost'")
        case .forgetPack:
            "UPDATE pack_versions SET to_sequence = ?1 WHERE build = ?2 AND to_sequence IS NULL AND settled = 0"
        case .forgetPacks: "UPDATE pack_versions SET to_sequence = ?1 WHERE to_sequence IS NULL AND since > ?2"
        case .closePack: packs.close
        case .addSource:
            "INSERT OR IGNORE INTO pack_source_versions (build, from_sequence, region) SELECT ?2, ?1, ?3 "
                + "WHERE EXISTS (SELECT 1 FROM pack_versions WHERE \(sourceIsCurrent) AND attempt = ?4) "
                + "AND NOT EXISTS (SELECT 1 FROM pack_source_versions WHERE \(sourceIsCurrent) AND region = ?3)"
        case .dropSource:
            "UPDATE pack_source_versions SET to_sequence = ?1 WHERE \(sourceIsCurrent) AND region = ?3"
        case .forgetSources: "UPDATE pack_source_versions SET to_sequence = ?1 WHERE \(sourceIsCurrent)"
        case .forgetAllSources:
            "UPDATE pack_source_versions SET to_sequence = ?1 WHERE to_sequence IS NULL AND NOT EXISTS (SELECT 1 "
                + "FROM pack_versions p WHERE p.build = pack_source_versions.build AND p.to_sequence IS NULL)"
        case .insertTarget: TargetRows.insert(replaced: "app = ?2")
        case .closeTarget: TargetRows.close(replaced: "app = ?2")
        case .insertRegion: regions.insert()
        case .changeRegion: regions.change(["status": "?3", "endpoint": "?4"])
        case .closeRegion: regions.close
        case .insertPeer: peers.insert(["status": "'live'"])
        case .enrolPeer:
            peers.change(["labels": "?3", "endpoint": "?4", "status": "'live'", "time": "?5"])
        case .silencePeer: peers.change(["status": "?3", "time": "?4"])
        case .closePeer: peers.close
        case .insertPeerApp:
            peerApps.insert(
                where: "EXISTS (SELECT 1 FROM peer_versions WHERE name = ?2 AND to_sequence IS NULL) "
                    + "AND NOT EXISTS (SELECT 1 FROM peer_app_versions WHERE \(peerApps.keyCondition) "
                    + "AND to_sequence IS NULL AND (epoch, number) > (?5, ?6))")
        case .closePeerApp: peerApps.close
        }
    }

    package static func subject(of event: RegionEvent) -> EventSubject {
        switch event {
        case .log(.refused(let refused, _, _)): EventSubject(job: refused.job)
        case .log, .followed, .refollowed: EventSubject()
        case .taken(let fact, _): subject(of: fact)
        case .packStored(let build, _, _), .packLost(let build, _): EventSubject(job: build)
        case .peerEnrolled(let name, _, _), .peerSilent(let name), .peerReturned(let name): EventSubject(peer: name)
        case .peerChanged(let name, let app, let report): EventSubject(job: report.build, app: app, peer: name)
        }
    }

    private static func subject(of fact: GlobalFact) -> EventSubject {
        switch fact {
        case .packUploaded(let build, let app, _, let pack):
            EventSubject(job: build, app: app, region: pack.region)
        case .packStored(let build, let app, _, _, let region): EventSubject(job: build, app: app, region: region)
        case .packLost(let build, let region): EventSubject(job: build, region: region)
        case .jobFailed(let job): EventSubject(job: job)
        case .target(let target): EventSubject(job: target.current.build, app: target.app)
        case .region(let name, _, _): EventSubject(region: name)
        case .settings: EventSubject()
        }
    }
}
