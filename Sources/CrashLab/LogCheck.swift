import Blobs
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports

/// What a log that a crash left turned out to be.
package struct Verdict: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// Everything that was answered is there, the log verifies, and the engine goes on from it.
        case sound
        /// Something that was answered is not there.
        case lost
        /// It does not open, or does not verify.
        case damaged
        /// It holds what was never written, or what was said not to be.
        case contradiction
        /// Its events do not amount to the state that they made, or the engine does not go on from it.
        case stuck
    }

    package var kind: Kind
    package var message: String

    static let sound = Verdict(kind: .sound, message: "")
    init(kind: Kind, message: String) { (self.kind, self.message) = (kind, message) }
}

/// Opens a log as a start after a crash does and holds it against what was told of it.
struct LogCheck {
    /// What the log must be a beginning of; nil where only the answers are known.
    let reference: ReferenceLog?
    /// Where what the log has forgotten is read; nil where it has forgotten nothing.
    var archive: String?
    private static let repeats = 2
    /// Beyond every workload's.
    private static let firstOwnNumber = 1 << 50

    /// The log is used as its next engine would: it grows.
    func verdict(on directory: String, told: Told) async -> Verdict {
        await outcome(on: directory, told: told).verdict
    }

    /// Also where the log ended; nil where it does not say.
    func outcome(on directory: String, told: Told) async -> (verdict: Verdict, end: LogSequence?) {
        var end: LogSequence?
        do {
            let log = try EventLog.open(
                directory: directory, mode: .create(identity: nil), settings: Workload.settings(1 << 17))
            if let archive {
                log.use(archive: try await DirectoryBlobStore.open(archive, readOnly: true), place: archive)
            }
            end = try log.head().sequence
            if let problem = try content(of: log, told) { return (problem, end) }
            return (try await goOn(log, told) ?? .sound, end)
        } catch let failure as StoreFailure {
            return (Verdict(kind: .damaged, message: failure.description), end)
        } catch {
            return (Verdict(kind: .stuck, message: "\(error)"), end)
        }
    }

    private func content(of log: EventLog, _ told: Told) throws -> Verdict? {
        let report = try log.verify()
        if let damage = report.damage {
            return Verdict(kind: .damaged, message: "after sequence \(damage.afterSequence): \(damage.message)")
        }
        // The chain at the furthest answer proves all that was answered before it.
        for answer in told.furthest.map({ [$0] + told.answers.suffix(Self.repeats) }) ?? [] {
            guard answer.sequence <= report.sequence else {
                return Verdict(
                    kind: .lost,
                    message:
                        "command \(answer.number) was answered at \(answer.sequence), the log ends at \(report.sequence)"
                )
            }
            guard try log.position(at: answer.sequence)?.chain == answer.chain else {
                return Verdict(
                    kind: .lost,
                    message: "command \(answer.number) was answered at \(answer.sequence), with another chain")
            }
        }
        guard let reference else { return nil }
        if log.identity != reference.identity {
            let isNew = told.answers.isEmpty && report.sequence == .zero
            return isNew ? nil : Verdict(kind: .contradiction, message: "it is another log")
        }
        guard reference.positions[report.sequence] == report.end else {
            return Verdict(
                kind: .contradiction, message: "no batch of the workload ends at \(report.sequence) as this one does")
        }
        return nil
    }

    /// The state is what it was, commands that were answered are answered the same again, and new ones are taken.
    private func goOn(_ log: EventLog, _ told: Told) async throws -> Verdict? {
        let before = try log.head()
        let replay = try Replay<Global>.whole(log, codec: GlobalCodec())
        if let state = reference?.states[before.sequence], log.identity == reference?.identity, replay.state != state {
            return Verdict(
                kind: .stuck, message: "its events amount to another state than they did at \(before.sequence)")
        }
        for number in told.failed
        where Workload.actors(number).contains(where: {
            replay.state.memory.entry(actor: $0, key: Workload.key(number), now: replay.lastTime) != nil
        }) {
            return Verdict(kind: .contradiction, message: "command \(number) was answered to be nowhere, and is there")
        }
        let engine = try Workload.engine(over: log)
        defer { engine.stop() }
        for answer in told.answers.filter({ $0.job != nil }).suffix(Self.repeats) {
            let outcome = try await engine.submit(
                Workload.enqueue(answer.number), actor: Workload.person, key: Workload.key(answer.number))
            guard case .accepted(.queue(.enqueued(answer.job, _)), _) = outcome else {
                return Verdict(
                    kind: .lost, message: "command \(answer.number) is not remembered: repeated, it got \(outcome)")
            }
        }
        let number = Self.firstOwnNumber + Int(before.sequence.rawValue)
        let outcome = try await engine.submit(
            Workload.enqueue(number), actor: Workload.person, key: Workload.key(number))
        guard case .accepted(_, let position) = outcome, position.sequence > before.sequence else {
            return Verdict(kind: .stuck, message: "the engine does not take a new command: \(outcome)")
        }
        engine.stop()
        try await engine.waitForEnd()
        guard try log.contains(before) == .onChain, try log.head().sequence >= position.sequence else {
            return Verdict(kind: .contradiction, message: "the log was not continued where it ended")
        }
        return nil
    }
}
