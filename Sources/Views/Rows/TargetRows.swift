import Domain

/// The rows of targets, the same in both kinds of log; they differ in what a target replaces.
enum TargetRows {
    static let columns = [
        "epoch", "number", "deployment_epoch", "deployment_number", "build", "manifest", "base_build", "base_manifest",
        "previous_build", "previous_manifest", "selector", "admitted_share", "actor", "reason", "issued", "expires",
    ]

    private static let table = VersionedTable("target_versions", keys: ["app", "scope"], values: columns)

    /// A new row, unless one with this revision or a greater one is there. `replaced` says which: of its app, or of its
    /// app and scope.
    static func insert(replaced condition: String) -> String {
        table.insert(
            where: "NOT EXISTS (SELECT 1 FROM target_versions WHERE \(condition) AND to_sequence IS NULL "
                + "AND (epoch, number) >= (?4, ?5))")
    }

    static func close(replaced condition: String) -> String {
        "UPDATE target_versions SET to_sequence = ?1 WHERE \(condition) AND to_sequence IS NULL AND from_sequence < ?1"
    }

    /// Binds a target for `insert`.
    static func bind(_ target: Target, actor: Int64, _ sequence: UInt64, to insert: PreparedStatement) {
        insert.add(sequence).add(target.app.rawValue).add(target.scope.description)
        insert.add(target.revision.epoch.rawValue).add(target.revision.number)
        insert.add(target.deployment.epoch.rawValue).add(target.deployment.number)
        add(target.current, to: insert)
        add(target.base, to: insert)
        add(target.previous, to: insert)
        insert.add(labelText(target.selector.labels)).add(UInt64(target.admittedShare)).add(actor).add(target.reason)
        insert.add(target.issued.milliseconds).add(target.expires.milliseconds)
    }

    private static func add(_ build: ProvedBuild?, to statement: PreparedStatement) {
        if let build {
            statement.add(build.build.rawValue).add(build.manifest)
        } else {
            statement.addNull().addNull()
        }
    }
}
