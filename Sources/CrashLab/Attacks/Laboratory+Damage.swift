import Domain
import Foundation
import Ports
import Synchronization

extension Laboratory {
    static let usualDamage = "damage"

    /// Flips, cuts, lost and misplaced sectors, forgeries, over a log that a workload wrote.
    package func attackWithDamage(omitting: DamageOmission? = nil) async throws -> AttackReport {
        try await timed(Self.usualDamage) { report in
            let directory = try place("damage")
            defer { removePlace("damage") }
            let (told, end) = try await run(Workload(directory: directory + "/log", commands: 10))
            guard told.isEnded else { throw LaboratoryFailure("the workload did not end as it should (\(end))") }
            let work = DamageWork(
                log: directory + "/log", scratch: directory + "/damaged", seed: settings.seed,
                indices: 0..<settings.damages, omitting: omitting.map(\.omission))
            try await damages(work, &report)
        }
    }

    /// Repeats a work until all of its files were looked at: a process that does not survive one is told from
    /// damage by what `drover verify` says of the same file.
    func damages(_ work: DamageWork, _ report: inout AttackReport) async throws {
        var work = work
        let all = work.indices
        report.tried = 0
        while !work.indices.isEmpty {
            let heard = Mutex(DamageHeard())
            let end = try await children.run(.damage(work)) { line in
                let place = heard.withLock { heard in
                    heard.take(line)
                    return heard.index
                }
                if let place, place % 64 == 0 { progress(Self.usualDamage, place - all.lowerBound, all.count) }
            }
            let said = heard.withLock { $0 }
            report.harmless += said.harmless
            report.refused += said.refused
            report.older += said.older
            report.tried += said.harmless + said.older + said.refused + said.served.count
            report.opened += said.harmless
            for (index, message) in said.served {
                // Made again, so that the very file is kept.
                _ = try await children.run(.damage(work.only(index))) { _ in }
                try keep(Finding("served", "damage \(index): \(message)"), .damage(work.only(index)), &report)
            }
            if said.isEnded { break }
            guard let index = said.index, said.isAtWork else {
                throw LaboratoryFailure("the damaged files could not be made (\(end)): \(said.last)")
            }
            report.tried += 1
            if try await isReported(work.scratch) {
                report.refused += 1
            } else {
                try keep(
                    Finding("unreported", "damage \(index): its reader ended (\(end)), and verify does not say so"),
                    .damage(work.only(index)), &report)
            }
            work.indices = index + 1..<all.upperBound
        }
        report.damaged = report.refused
        report.distinct = report.tried
    }

    /// Whether the product's own check says that it is damaged, and survives saying so.
    private func isReported(_ directory: String) async throws -> Bool {
        let process = try await children.start(
            [settings.program[0], "verify", directory], Children.Surroundings())
        return try await children.listen(to: process) { _ in } == .exited(1)
    }
}

/// A check that is left out, for control.
package enum DamageOmission: Sendable {
    case chain
    case frames

    var omission: DamageWork.Omission {
        switch self {
        case .chain: .chain
        case .frames: .frames
        }
    }
}

extension DamageWork {
    fileprivate func only(_ index: Int) -> DamageWork {
        var work = self
        work.indices = index..<index + 1
        return work
    }
}

struct DamageHeard {
    /// The one that it is at, or was at last.
    var index: Int?
    var isAtWork = false
    var isEnded = false
    var harmless = 0
    var older = 0
    var refused = 0
    var served: [(Int, String)] = []
    var last = ""

    mutating func take(_ line: String) {
        last = line
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        switch words.first {
        case "at":
            index = words.last.flatMap { Int($0) }
            isAtWork = true
        case "was":
            isAtWork = false
            switch words.dropFirst().first {
            case "harmless": harmless += 1
            case "older": older += 1
            case "refused": refused += 1
            case _: served.append((index ?? -1, line))
            }
        case "end": isEnded = true
        case _: break
        }
    }
}
