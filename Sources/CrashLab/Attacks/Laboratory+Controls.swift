import Domain
import Foundation

/// A planted mutation: what the laboratory is worth is what it finds of these.
package struct Control: Sendable {
    enum Attack: Sendable {
        case images(swallowing: String?, Sabotage?)
        case damage(DamageOmission)
        case kills(Sabotage)
        case injection(Sabotage)
    }

    let planted: String
    let promise: String
    let attack: Attack

    /// One at least for every promise that an attack holds the product to.
    package static let all = [
        Control(
            planted: "no flush reaches the disk (MDB_NOSYNC, and no fsync of directories)",
            promise: "what is answered survives a loss of power",
            attack: .images(swallowing: "data,meta,directory", nil)),
        Control(
            planted: "pages are not flushed before the meta page", promise: "no loss of power damages the log",
            attack: .images(swallowing: "data", nil)),
        Control(
            planted: "the meta page is not flushed (MDB_NOMETASYNC)",
            promise: "what is answered survives a loss of power",
            attack: .images(swallowing: "meta", nil)),
        Control(
            planted: "no directory is flushed when a log is created", promise: "a log that was answered from is there",
            attack: .images(swallowing: "directory", nil)),
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
    ]
}

extension Laboratory {
    /// Every control must be caught.
    package func controls() async throws -> [ControlReport] {
        var reports: [ControlReport] = []
        for control in Control.all {
            progress("controls", reports.count, Control.all.count)
            let found = try await attack(control.attack)
            reports.append(
                ControlReport(
                    planted: control.planted, promise: control.promise, attack: found.attack, tried: found.tried,
                    found: found.findings.count, example: found.findings.first?.message ?? "", skipped: found.skipped))
        }
        return reports
    }

    private func attack(_ attack: Control.Attack) async throws -> AttackReport {
        switch attack {
        case .images(let kinds, let sabotage):
            return try await timed(Self.usualImages) { report in
                let recording = try await record(images: settings.images, swallowing: kinds, sabotage: sabotage)
                try await images(of: recording, &report)
                removePlace("recording")
            }
        case .damage(let omission): return try await attackWithDamage(omitting: omission)
        case .kills(let sabotage): return try await attackWithKills(sabotage: sabotage)
        case .injection(let sabotage):
            let append = InjectionScenario.all.filter { $0.start == .log && $0.promise == .answered }
            return try await attackWithInjection(scenarios: Array(append.prefix(1)), sabotage: sabotage)
        }
    }
}
