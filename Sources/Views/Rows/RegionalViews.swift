package import Domain

/// A regional log's events as rows.
package enum RegionalViews: ViewMapping {
    package typealias Event = RegionEvent

    package typealias Tables = RegionalTables

    package enum Change: Int, CaseIterable, Sendable {
        case adopt
        case retiredPacks, forgetPacks, addSource, dropSource, forgetSources, forgetAllSources
        case currentScope
    }

    package static var schema: ViewSchema { .regional }

    private static let sourceIsCurrent = "build = ?2 AND to_sequence IS NULL"

    package static func sql(of change: Change) -> String {
        switch change {
        case .adopt: "INSERT OR IGNORE INTO adoption_rows VALUES (?1, ?2, ?3, ?4)"
        case .forgetPacks: "UPDATE pack_versions SET to_sequence = ?1 WHERE to_sequence IS NULL AND since > ?2"
        case .retiredPacks:
            "SELECT build FROM pack_versions WHERE to_sequence IS NULL AND since <= ?1 AND retired_since > ?1"
        case .addSource:
            "INSERT OR IGNORE INTO pack_source_versions (build, from_sequence, region) SELECT ?2, ?1, ?3 "
                + "WHERE NOT EXISTS (SELECT 1 FROM pack_source_versions WHERE \(sourceIsCurrent) AND region = ?3)"
        case .dropSource:
            "UPDATE pack_source_versions SET to_sequence = ?1 WHERE \(sourceIsCurrent) AND region = ?3"
        case .forgetSources: "UPDATE pack_source_versions SET to_sequence = ?1 WHERE \(sourceIsCurrent)"
        case .forgetAllSources:
            "UPDATE pack_source_versions SET to_sequence = ?1 WHERE to_sequence IS NULL AND NOT EXISTS (SELECT 1 "
                + "FROM pack_versions p WHERE p.build = pack_source_versions.build AND p.to_sequence IS NULL)"
        case .currentScope: "SELECT scope FROM target_versions WHERE app = ?1 AND to_sequence IS NULL"
        }
    }

    package static func take(
        _ header: FrameHeader, type: UInt16, schemaRevision: UInt16, _ payload: borrowing Span<UInt8>,
        with rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        try rows.writeAny(header, type: type, schemaRevision: schemaRevision, payload)
    }

    package static func subject(of event: RegionEvent) -> EventSubject {
        switch event {
        case .log(.refused(let refused, _, _)): EventSubject(job: refused.job)
        case .log, .followed, .refollowed: EventSubject()
        case .taken(let fact, _): subject(of: fact)
        case .packStored(let build, _, _), .packLost(let build, _), .packRemoved(let build): EventSubject(job: build)
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
        case .buildRetired(let build, _): EventSubject(job: build)
        case .jobFailed(let job): EventSubject(job: job)
        case .target(let target): EventSubject(job: target.current.build, app: target.app)
        case .region(let name, _, _): EventSubject(region: name)
        case .settings: EventSubject()
        }
    }
}
