import Domain
import Foundation
import Ports
import Synchronization

extension Laboratory {
    private static let storeDamage = "damaged backups"
    /// Of the damages that are asked for, one in so many is a backup's.
    private static let storeShare = 4

    /// Flips, cuts, lost files and forgeries in a backup of two rounds: a restore gives the log or says that it does not.
    package func attackWithStoreDamage(isBlind: Bool = false) async throws -> AttackReport {
        try await timed(Self.storeDamage) { report in
            let root = try place("store-damage")
            defer { removePlace("store-damage") }
            guard let scenario = Scenario.named("backup, later") else { return }
            let stage = ScenarioStage(laboratory: self, place: root)
            _ = try await stage.prepare(scenario)
            guard try await stage.act(scenario.act, number: 0, clients: 1).end == .exited(0) else {
                throw LaboratoryFailure("a backup fails without a fault")
            }
            let work = StoreDamageWork(
                place: root, scratch: root + "/scratch", seed: settings.seed,
                indices: 0..<max(1, settings.damages / Self.storeShare), isBlind: isBlind)
            try await storeDamages(work, &report)
        }
    }

    func storeDamages(_ work: StoreDamageWork, _ report: inout AttackReport) async throws {
        let heard = Mutex(DamageHeard())
        let end = try await children.run(.storeDamage(work)) { line in
            let place = heard.withLock { heard in
                heard.take(line)
                return heard.index
            }
            if let place, place % 64 == 0 { progress(Self.storeDamage, place, work.indices.count) }
        }
        let said = heard.withLock { $0 }
        report.tried = said.harmless + said.older + said.refused + said.served.count
        (report.harmless, report.refused, report.older) = (said.harmless, said.refused, said.older)
        (report.opened, report.damaged, report.distinct) = (said.harmless, said.refused, report.tried)
        var findings = said.served
        // Segments and indexes are this program's own to read: no damage of theirs may end it.
        if !said.isEnded { findings.append((said.index ?? 0, "its reader ended (\(end)): \(said.last)")) }
        for (index, message) in findings {
            var only = work
            only.indices = index..<index + 1
            try keep(Finding("served", "damage \(index): \(message)"), .storeDamage(only), &report)
        }
    }
}
