package import Domain

/// One of the numbers that decisions depend on, as people name it: `lease-seconds=30`.
package struct SettingChange: Hashable, Sendable, LosslessStringConvertible {
    package var name: String
    package var value: UInt32

    private static let fields: [(name: String, path: any WritableKeyPath<Settings, UInt32> & Sendable)] = [
        ("lease-seconds", \.leaseSeconds), ("heartbeat-seconds", \.heartbeatSeconds),
        ("maximum-attempts", \.maximumAttempts), ("job-timeout-seconds", \.jobTimeoutSeconds),
        ("cancel-grace-seconds", \.cancelGraceSeconds), ("region-silent-seconds", \.regionSilentSeconds),
        ("peer-silent-seconds", \.peerSilentSeconds), ("deployment-deadline-seconds", \.deploymentDeadlineSeconds),
        ("target-lifetime-seconds", \.targetLifetimeSeconds), ("converged-share", \.convergedShare),
        ("maximum-open-jobs", \.maximumOpenJobs),
    ]

    package static let names = fields.map(\.name)

    /// Nil unless it names a setting and a number.
    package init?(_ description: String) {
        let parts = description.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, Self.names.contains(String(parts[0])),
            let value = plainDecimal(parts[1]).flatMap({ UInt32(exactly: $0) })
        else { return nil }
        (name, self.value) = (String(parts[0]), value)
    }

    package var description: String { "\(name)=\(value)" }

    package func apply(to settings: inout Settings) {
        for field in Self.fields where field.name == name { settings[keyPath: field.path] = value }
    }

    /// What of the world depends on it and is not in the log, or held as recorded all the same; empty for nothing.
    package var held: String {
        if name == "peer-silent-seconds" {
            return "peers' silences are in their regions' logs: nothing here depends on them"
        }
        if name == "region-silent-seconds" { return "silences that ended before they were noticed are not in the log" }
        return name == "heartbeat-seconds" ? "workers speak when they did, whatever \(name) says" : ""
    }
}
