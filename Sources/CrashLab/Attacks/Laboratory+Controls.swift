import Domain
import Foundation

/// A planted mutation: what the laboratory is worth is what it finds of these.
package struct Control: Sendable {
    enum Attack: Sendable {
        case images(swallowing: SwallowedFlushes?, Sabotage?)
        /// Of a scenario: without flushes, or with a mutation in its act's place.
        case scenario(String, swallowing: SwallowedFlushes?, Mutant?)
        case damage(DamageOmission)
        case blindRestore
        case kills(Sabotage)
        case injection(Sabotage)
    }

    let planted: String
    let promise: String
    let attack: Attack
    /// What a finding must say to be of this mutation; empty for anything.
    var evidence = ""

    /// One at least for every promise that an attack holds the product to.
    package static let all = [
        Control(
            planted: "no flush reaches the disk (MDB_NOSYNC, and no fsync of directories)",
            promise: "what is answered survives a loss of power",
            attack: .images(swallowing: .init("data,meta,directory"), nil)),
        Control(
            planted: "pages are not flushed before the meta page", promise: "no loss of power damages the log",
            attack: .images(swallowing: .init("data"), nil)),
        Control(
            planted: "the meta page is not flushed (MDB_NOMETASYNC)",
            promise: "what is answered survives a loss of power",
            attack: .images(swallowing: .init("meta"), nil)),
        Control(
            planted: "no directory is flushed when a log is created", promise: "a log that was answered from is there",
            attack: .images(swallowing: .init("directory"), nil)),
        Control(
            planted: "a batch is answered before its commit", promise: "what is answered is durable",
            attack: .images(swallowing: nil, .earlyAnswer)),
        Control(
            planted: "a batch is answered before its commit", promise: "what is answered survives kill -9",
            attack: .kills(.earlyAnswer)),
        Control(
            planted: "a failed append is answered as done", promise: "an answer tells the truth about a fault",
            attack: .injection(.failureHidden)),
        Control(
            planted: "verify leaves the chain out", promise: "a forgery with fitting checksums is found",
            attack: .damage(.chain)),
        Control(
            planted: "frames are served without their checksums", promise: "an altered byte is refused",
            attack: .damage(.frames)),
        Control(
            planted: "a backup's files get their names before they are flushed",
            promise: "what a backup was said to hold survives a loss of power",
            attack: .scenario("backup", swallowing: .init("data"), nil)),
        Control(
            planted: "an export's segments get their names before they are flushed",
            promise: "an export is whole or not there",
            attack: .scenario("export of segments", swallowing: .init("data"), nil)),
        Control(
            planted: "a backup's index is written before its segments",
            promise: "an index names only what is there",
            attack: .scenario("backup, later", swallowing: nil, .indexFirst)),
        Control(
            planted: "a restore appears before its log is flushed", promise: "a restore is whole or not there",
            attack: .scenario("restore", swallowing: .init("data,meta"), nil)),
        Control(
            planted: "a restore believes segments without proving the chain",
            promise: "a restore gives the log or says that it does not", attack: .blindRestore),
        Control(
            planted: "a redaction swaps the files without flushing",
            promise: "a log is the old one or the redacted one",
            attack: .scenario("redaction", swallowing: .init("data,meta,directory"), nil)),
        Control(
            planted: "a log forgets what its archive has not flushed",
            promise: "a log and its archive are the whole log",
            attack: .scenario("trim", swallowing: .init("data", below: "store"), nil)),
        Control(
            planted: "a snapshot of the state gets its name before it is flushed",
            promise: "a snapshot is what the log amounts to",
            attack: .scenario("snapshots", swallowing: .init("data", below: "snapshots"), nil),
            evidence: "the snapshot"),
    ]
}

extension Laboratory {
    /// Every control must be caught.
    package func controls() async throws -> [ControlReport] {
        var reports: [ControlReport] = []
        for control in Control.all {
            progress("controls", reports.count, Control.all.count)
            var found = try await attack(control.attack)
            found.findings.removeAll { !control.evidence.isEmpty && !$0.message.contains(control.evidence) }
            reports.append(
                ControlReport(
                    planted: control.planted, promise: control.promise, attack: found.attack, tried: found.tried,
                    found: found.findings.count, example: found.findings.first?.message ?? "", skipped: found.skipped))
        }
        return reports
    }

    private func attack(_ attack: Control.Attack) async throws -> AttackReport {
        switch attack {
        case .images(let flushes, let sabotage):
            return try await timed(Self.usualImages) { report in
                let recording = try await record(images: settings.images, swallowing: flushes, sabotage: sabotage)
                try await images(of: recording, &report)
                removePlace("recording")
            }
        case .scenario(let name, let flushes, let mutant):
            guard var scenario = Scenario.named(name) else { preconditionFailure("no scenario is called \(name)") }
            if let mutant { scenario.act = .mutant(mutant) }
            return try await attackScenarioImages([scenario], swallowing: flushes)[0]
        case .blindRestore: return try await attackWithStoreDamage(isBlind: true)
        case .damage(let omission): return try await attackWithDamage(omitting: omission)
        case .kills(let sabotage): return try await attackWithKills(sabotage: sabotage)
        case .injection(let sabotage):
            let append = Scenario.named("append and commit")
            return try await attackWithInjection(scenarios: [append].compactMap(\.self), sabotage: sabotage)
        }
    }
}
