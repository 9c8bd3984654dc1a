package import Domain

extension RegionalViews {
    private typealias Pack = RowValues<RegionalTables.PackColumn>

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
            try forget(after: position.sequence, sequence, rows)
        case .packStored(let build, let attempt, let manifest):
            try rows.tables.packs.change(RowKey(.integer(build.rawValue)), at: sequence) { row in
                guard row.isOf(attempt), row[.manifest] == .digest(manifest) else { return false }
                (row[.status], row[.detail]) = (.text("stored"), .text(""))
                return true
            }
        case .packLost(let build, let detail):
            try rows.tables.packs.change(RowKey(.integer(build.rawValue)), at: sequence) { row in
                guard row[.status] != .text("lost"), row[.status] != .text("removed") else { return false }
                (row[.status], row[.detail]) = (.text("lost"), .text(detail))
                return true
            }
        case .packRemoved(let build):
            try rows.tables.packs.change(RowKey(.integer(build.rawValue)), at: sequence) { row in
                guard row[.retiredSince] != .null else { return false }
                (row[.status], row[.detail]) = (.text("removed"), .text(""))
                return true
            }
        case .peerEnrolled(let name, let labels, let endpoint):
            var row = RowValues<RegionalTables.PeerColumn>()
            (row[.labels], row[.endpoint]) = (.text(labelText(labels)), .text(endpoint))
            (row[.status], row[.time]) = (.text("live"), .integer(header.time.milliseconds))
            try rows.tables.peers.put(row, RowKey(.text(name.rawValue)), at: sequence)
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

    /// What only the other branch knew is forgotten.
    private static func forget(
        after global: LogSequence, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        try rows.tables.packs.flush()
        rows.tables.packs.forget()
        for build in try retired(after: global, rows) {
            // It is not retired there: what was removed is lost.
            try rows.tables.packs.change(RowKey(build), at: sequence) { row in
                (row[.retiredSince], row[.removeAfter]) = (.null, .null)
                if row[.status] == .text("removed") { row[.status] = .text("lost") }
                return true
            }
        }
        try rows.tables.packs.flush()
        rows.tables.packs.forget()
        guard try rows[.forgetPacks].add(sequence).add(global.rawValue).run() > 0 else { return }
        try rows[.forgetAllSources].add(sequence).run()
    }

    private static func retired(
        after global: LogSequence, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) -> [SQLValue] {
        let search = rows[.retiredPacks].add(global.rawValue)
        defer { search.finish() }
        var builds: [SQLValue] = []
        while try search.step() { builds.append(search.value(0)) }
        return builds
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
            try rows.tables.packs.change(RowKey(.integer(build.rawValue)), at: sequence) { row in
                guard row[.settled] == .zero, row.isOf(attempt) else { return false }
                row[.settled] = .one
                return true
            }
        case .packLost(let build, let region):
            try rows[.dropSource].add(sequence).add(build.rawValue).add(region.rawValue).run()
        case .buildRetired(let build, let end):
            try rows.tables.packs.change(RowKey(.integer(build.rawValue)), at: sequence) { row in
                if row[.retiredSince] == .null { row[.retiredSince] = .integer(global.rawValue) }
                row[.removeAfter] = .integer(end.milliseconds)
                return true
            }
        case .jobFailed(let job):
            let key = RowKey(.integer(job.rawValue))
            guard try rows.tables.packs.current(key)?[.settled] == .zero else { return }
            try rows.tables.packs.end(key, at: sequence)
            try rows[.forgetSources].add(sequence).add(job.rawValue).run()
        case .target(let target): try changed(target, sequence, rows)
        case .region(let name, let endpoint, let status):
            var row = RowValues<RegionalTables.RegionColumn>()
            (row[.status], row[.endpoint]) = (.text(status.rawValue), .text(endpoint))
            try rows.tables.regions.put(row, RowKey(.text(name.rawValue)), at: sequence)
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
        let key = RowKey(.integer(build.rawValue))
        var row = Pack()
        (row[.app], row[.attempt]) = (.text(app.rawValue), .integer(attempt.rawValue))
        (row[.manifest], row[.packedBytes]) = (.digest(pack.manifest), .integer(pack.packedBytes))
        (row[.settled], row[.since]) = (isSettled ? .one : .zero, .integer(global.rawValue))
        (row[.status], row[.detail]) = (.text("wanted"), .text(""))
        let known = try rows.tables.packs.current(key)
        let isNew = known.map { $0.isBefore(attempt) || ($0.isOf(attempt) && $0[.manifest] != row[.manifest]) } ?? true
        if isNew {
            try rows.tables.packs.put(row, key, at: sequence)
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
        guard try rows.tables.packs.current(RowKey(.integer(build.rawValue)))?.isOf(attempt) == true else { return }
        try rows[.addSource].add(sequence).add(build.rawValue).add(region.rawValue).run()
    }

    /// An app has one target here, whatever its scope.
    private static func changed(
        _ target: Target, _ sequence: UInt64, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        let actor = try rows.actor(target.actor)
        let table = rows.tables.targets
        let scope = SQLValue.text(target.scope.description)
        let key = RowKey(.text(target.app.rawValue), scope)
        if let oldScope = try currentScope(target.app, rows) {
            let oldKey = RowKey(.text(target.app.rawValue), oldScope)
            if let old = try table.current(oldKey), old.revision(.epoch, .number) >= target.revision { return }
            if oldKey != key { try table.end(oldKey, at: sequence) }
        }
        try table.put(RowValues(target, actor: actor), key, at: sequence)
        rows.tables.scopes[target.app] = scope
    }

    /// Searching the file for it costs the app's whole history: once, after that it is remembered.
    private static func currentScope(
        _ app: AppName, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) -> SQLValue? {
        if let known = rows.tables.scopes[app] { return known }
        try rows.tables.targets.flush()
        return try rows[.currentScope].add(app.rawValue).first()
    }

    /// Of a peer that is known, and at a revision that is not behind what it said before.
    private static func changed(
        _ peer: PeerName, _ app: AppName, _ report: PeerApp, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        guard try rows.tables.peers.current(RowKey(.text(peer.rawValue))) != nil else { return }
        let key = RowKey(.text(peer.rawValue), .text(app.rawValue))
        if let current = try rows.tables.peerApps.current(key), current.revision(.epoch, .number) > report.revision {
            return
        }
        var row = RowValues<RegionalTables.PeerAppColumn>()
        row[.build] = report.build.map { .integer($0.rawValue) } ?? .null
        row[.epoch] = .integer(report.revision.epoch.rawValue)
        row[.number] = .integer(report.revision.number)
        (row[.health], row[.detail]) = (.text(report.health.rawValue), .text(report.detail))
        row[.time] = .integer(header.time.milliseconds)
        try rows.tables.peerApps.put(row, key, at: header.sequence.rawValue)
    }

    private static func silence(
        _ name: PeerName, _ status: String, _ header: FrameHeader, _ rows: RowWriter<RegionalViews>
    ) throws(ViewsFailure) {
        try rows.tables.peers.change(RowKey(.text(name.rawValue)), at: header.sequence.rawValue) { row in
            (row[.status], row[.time]) = (.text(status), .integer(header.time.milliseconds))
            return true
        }
    }
}

extension RowValues<RegionalTables.PackColumn> {
    fileprivate func isOf(_ attempt: AttemptNumber) -> Bool { self[.attempt] == .integer(attempt.rawValue) }

    fileprivate func isBefore(_ attempt: AttemptNumber) -> Bool {
        (self[number: .attempt] ?? 0) < Int64(clamping: attempt.rawValue)
    }
}
