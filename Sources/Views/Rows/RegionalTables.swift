import Domain

/// A regional log's versioned tables, but for `pack_source_versions`: its rows end many at a time.
package final class RegionalTables: ViewTables {
    enum PackColumn: Int, RowColumn {
        case app, attempt, manifest, packedBytes, settled, since, status, detail, retiredSince, removeAfter
    }

    enum RegionColumn: Int, RowColumn { case status, endpoint }

    enum PeerColumn: Int, RowColumn { case labels, endpoint, status, time }

    enum PeerAppColumn: Int, RowColumn { case build, epoch, number, health, detail, time }

    let packs: VersionedRows<PackColumn>
    let targets: VersionedRows<TargetColumn>
    let regions: VersionedRows<RegionColumn>
    let peers: VersionedRows<PeerColumn>
    let peerApps: VersionedRows<PeerAppColumn>
    /// The scope of each app's current target, as far as it was seen.
    var scopes: [AppName: SQLValue] = [:]
    private let maximumRows: Int

    package init(on connection: SQLiteHandle, isNew: Bool, maximumRows: Int) throws(ViewsFailure) {
        func table<Column>(_ name: String, _ keys: String...) throws(ViewsFailure) -> VersionedRows<Column> {
            try VersionedRows(name, keys: keys, on: connection, isNew: isNew, maximumRows: maximumRows)
        }
        packs = try table("pack_versions", "build")
        targets = try table("target_versions", "app", "scope")
        regions = try table("region_versions", "name")
        peers = try table("peer_versions", "name")
        peerApps = try table("peer_app_versions", "peer", "app")
        self.maximumRows = maximumRows
    }

    package func flush() throws(ViewsFailure) {
        try packs.flush()
        try targets.flush()
        try regions.flush()
        try peers.flush()
        try peerApps.flush()
        limitMemory()
    }

    package func makeRoom() throws(ViewsFailure) {
        try packs.makeRoom()
        try targets.makeRoom()
        try regions.makeRoom()
        try peers.makeRoom()
        try peerApps.makeRoom()
        limitMemory()
    }

    package func forget() {
        packs.forget()
        targets.forget()
        regions.forget()
        peers.forget()
        peerApps.forget()
        scopes = [:]
    }

    private func limitMemory() {
        if scopes.count > maximumRows { scopes = [:] }
    }
}
