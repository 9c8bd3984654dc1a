package import Domain

extension RegionalViews {
    package static func write(
        _ event: RegionEvent, _ header: FrameHeader, with rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        switch event {
        case .log(let event): try rows.write(event, header)
        case .taken(let fact, let global):
            try adopt(global, position: "", header, rows)
            try take(fact, at: global, sequence, rows)
        case .followed(let position): try adopt(position, header, rows)
        case .refollowed(let position):
            try adopt(position, header, rows)
            // What only the other branch knew is forgotten.
            guard try rows[.forgetPacks].add(sequence).add(position.sequence.rawValue).run() > 0 else { return }
            try rows[.forgetAllSources].add(sequence).run()
        case .packStored(let build, let attempt, let manifest):
            rows[.storePack].add(sequence).add(build.rawValue).add(attempt.rawValue).add(manifest)
            try run(.storePack, build, sequence, rows)
        case .packLost(let build, let detail):
            rows[.losePack].add(sequence).add(build.rawValue).add(detail)
            try run(.losePack, build, sequence, rows)
        case .peerEnrolled(let name, let labels, let endpoint):
            let (text, time) = (labelText(labels), header.time.milliseconds)
            rows[.enrolPeer].add(sequence).add(name.rawValue).add(text).add(endpoint).add(time)
            guard try !run(.enrolPeer, closing: .closePeer, name.rawValue, sequence, rows) else { return }
            try rows[.insertPeer].add(sequence).add(name.rawValue).add(text).add(endpoint).add(time).run()
        case .peerChanged(let name, let app, let report): try changed(name, app, report, header, rows)
        case .peerSilent(let name): try silence(name, "silent", header, rows)
        case .peerReturned(let name): try silence(name, "live", header, rows)
        }
    }

    /// Where the region's own log stands in the global one.
    private static func adopt(
        _ global: LogSequence, position: String, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        try rows[.adopt].add(header.sequence.rawValue).add(header.time.milliseconds).add(global.rawValue)
            .add(position).run()
    }

    private static func adopt(
        _ position: LogPosition, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        let text = "\(position.log)/\(position.epoch)/\(position.sequence)/\(position.chain)"
        try adopt(position.sequence, position: text, header, rows)
    }

    private static func take(
        _ fact: GlobalFact, at global: LogSequence, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        switch fact {
        case .packUploaded(let build, let app, let attempt, let pack):
            try know(build, app, attempt, pack, source: pack.region, at: global, sequence, rows)
        case .packStored(let build, let app, let attempt, let pack, let region):
            let isNew = try know(build, app, attempt, pack, source: region, isSettled: true, at: global, sequence, rows)
            if isNew { return }
            rows[.settlePack].add(sequence).add(build.rawValue).add(attempt.rawValue)
            try run(.settlePack, build, sequence, rows)
        case .packLost(let build, let region):
            try rows[.dropSource].add(sequence).add(build.rawValue).add(region.rawValue).run()
        case .jobFailed(let job):
            guard try rows[.forgetPack].add(sequence).add(job.rawValue).run() > 0 else { return }
            try rows[.forgetSources].add(sequence).add(job.rawValue).run()
        case .target(let target):
            TargetRows.bind(target, actor: try rows.actor(target.actor), sequence, to: rows[.insertTarget])
            guard try rows[.insertTarget].run() > 0 else { return }
            try rows[.closeTarget].add(sequence).add(target.app.rawValue).run()
        case .region(let name, let endpoint, let status):
            rows[.changeRegion].add(sequence).add(name.rawValue).add(status.rawValue).add(endpoint)
            guard try !run(.changeRegion, closing: .closeRegion, name.rawValue, sequence, rows) else { return }
            try rows[.insertRegion].add(sequence).add(name.rawValue).add(status.rawValue).add(endpoint).run()
        case .settings: break
        }
    }

    /// A later attempt's pack, or another manifest of the same one, replaces what was known, sources and all; an
    /// earlier attempt's is passed over.
    /// True when the pack was not known as it is.
    @discardableResult
    private static func know(
        _ build: BuildID, _ app: AppName, _ attempt: AttemptNumber, _ pack: UploadedPack, source: RegionName,
        isSettled: Bool = false, at global: LogSequence, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) -> Bool {
        let know = rows[.knowPack].add(sequence).add(build.rawValue).add(app.rawValue).add(attempt.rawValue)
        know.add(pack.manifest).add(pack.packedBytes).add(isSettled).add(global.rawValue)
        let isNew = try know.run() > 0
        if isNew {
            try rows[.closePack].add(sequence).add(build.rawValue).run()
            try rows[.forgetSources].add(sequence).add(build.rawValue).run()
            try addSource(pack.region, of: build, attempt, sequence, rows)
        }
        try addSource(source, of: build, attempt, sequence, rows)
        return isNew
    }

    private static func addSource(
        _ region: RegionName, of build: BuildID, _ attempt: AttemptNumber, _ sequence: UInt64,
        _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        try rows[.addSource].add(sequence).add(build.rawValue).add(region.rawValue).add(attempt.rawValue).run()
    }

    private static func changed(
        _ peer: PeerName, _ app: AppName, _ report: PeerApp, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        let insert = rows[.insertPeerApp].add(sequence).add(peer.rawValue).add(app.rawValue)
        insert.add(report.build?.rawValue).add(report.revision.epoch.rawValue).add(report.revision.number)
        insert.add(report.health.rawValue).add(report.detail)
        guard try insert.add(header.time.milliseconds).run() > 0 else { return }
        try rows[.closePeerApp].add(sequence).add(peer.rawValue).add(app.rawValue).run()
    }

    private static func silence(
        _ name: PeerName, _ status: String, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        let sequence = header.sequence.rawValue
        rows[.silencePeer].add(sequence).add(name.rawValue).add(status).add(header.time.milliseconds)
        try run(.silencePeer, closing: .closePeer, name.rawValue, sequence, rows)
    }

    private static func run(
        _ change: Change, _ build: BuildID, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        guard try rows[change].run() > 0 else { return }
        try rows[.closePack].add(sequence).add(build.rawValue).run()
    }

    /// Runs a change whose values are bound, and ends the row before it; false where there was none.
    @discardableResult
    private static func run(
        _ change: Change, closing close: Change, _ name: String, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) -> Bool {
        guard try rows[change].run() > 0 else { return false }
        try rows[close].add(sequence).add(name).run()
        return true
    }
}
