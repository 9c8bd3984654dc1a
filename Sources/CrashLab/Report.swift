/// What one attack came to: a line of the table.
package struct AttackReport: Hashable, Sendable, Codable {
    package var attack: String
    /// Images, files or runs.
    package var tried = 0
    /// Different ones among them.
    package var distinct = 0
    /// Logs that opened and were checked to their end.
    package var opened = 0
    package var lost = 0
    package var damaged = 0
    /// Changes that no reader can see.
    package var harmless = 0
    /// Changes that were found and refused.
    package var refused = 0
    /// Changes that bring an older commit's log back, whole and sound: the followers' positions tell, not the file.
    package var older = 0
    package var seconds = 0.0
    package var findings: [Finding] = []
    /// Why it was not run; nil when it was.
    package var skipped: String?

    package init(_ attack: String) { self.attack = attack }

    static func skipped(_ attack: String, _ why: String) -> AttackReport {
        var report = AttackReport(attack)
        report.skipped = why
        return report
    }
}

/// Something that must not be.
package struct Finding: Hashable, Sendable, Codable {
    package var kind: String
    package var message: String
    /// Where it is kept; nil where it is not.
    package var directory: String?

    init(_ kind: String, _ message: String) { (self.kind, self.message) = (kind, message) }
}

/// A planted mutation, and whether the laboratory found it.
package struct ControlReport: Hashable, Sendable, Codable {
    package var planted: String
    package var promise: String
    package var attack: String
    package var tried: Int
    package var found: Int
    package var example: String
    package var skipped: String?

    package var isCaught: Bool { found > 0 || skipped != nil }
}
