import Domain
import Foundation
import Ports
import Synchronization

/// What a finding is repeated from.
enum Again: Codable, Sendable {
    /// One image of a recording.
    case image(Recording, ImagePlan.Place)
    /// One damage of a log.
    case damage(DamageWork)
    /// One damage of a backup.
    case storeDamage(StoreDamageWork)
    /// A scenario's directory as it was left, what was told of it, and what must be so; nil for its log alone.
    case left(directory: String, lines: [String], CheckWork.Left?)
    /// A log as it was left, and what was told of it.
    case log(directory: String, lines: [String])

    static let attack = "again"
    private static let fileName = "finding.json"

    private struct Kept: Codable {
        var finding: Finding
        var again: Again
    }

    /// Copies everything it needs; paths in what is kept are relative.
    func keep(in directory: String, _ finding: Finding) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var kept = self
        switch self {
        case .image(var recording, let place):
            try files.copyItem(atPath: recording.tracePath, toPath: directory + "/trace")
            try files.copyItem(atPath: recording.diskPath, toPath: directory + "/disk")
            recording.directory = ""
            kept = .image(recording, place)
        case .damage(var work):
            try files.copyItem(atPath: work.log, toPath: directory + "/log")
            if files.fileExists(atPath: work.scratch) {
                try files.copyItem(atPath: work.scratch, toPath: directory + "/damaged")
            }
            (work.log, work.scratch) = ("log", "")
            kept = .damage(work)
        case .storeDamage(var work):
            try files.copyItem(atPath: work.place, toPath: directory + "/place")
            (work.place, work.scratch) = ("place", "")
            kept = .storeDamage(work)
        case .left(let left, let lines, var claim):
            try files.copyItem(atPath: left, toPath: directory + "/left")
            if let claim { try files.copyItem(atPath: claim.model, toPath: directory + "/model") }
            claim?.model = ""
            kept = .left(directory: "left", lines: lines, claim)
        case .log(let log, let lines):
            try files.copyItem(atPath: log, toPath: directory + "/log")
            kept = .log(directory: "log", lines: lines)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(Kept(finding: finding, again: kept)).write(
            to: URL(filePath: "\(directory)/\(Self.fileName)"))
    }

    static func read(_ directory: String) throws -> Again {
        guard let data = FileManager.default.contents(atPath: "\(directory)/\(fileName)") else {
            throw LaboratoryFailure("there is no \(fileName) in \(directory): name a finding that crashtest kept")
        }
        do { return try JSONDecoder().decode(Kept.self, from: data).again } catch {
            throw LaboratoryFailure(
                "\(directory)/\(fileName) cannot be read: was it changed, or kept by another version?")
        }
    }
}

extension Laboratory {
    /// Makes exactly the image, file or check of a finding again.
    package func again(_ directory: String) async throws -> AttackReport {
        let directory = URL(filePath: directory).path
        let scratch = try place("again")
        defer { removePlace("again") }
        return try await timed(Again.attack) { report in
            report.tried = 1
            switch try Again.read(directory) {
            case .image(var recording, let place):
                recording.directory = directory
                try await images(ImageWork(recording: recording, scratch: scratch, only: place), &report)
            case .damage(var work):
                (work.log, work.scratch) = ("\(directory)/log", scratch + "/damaged")
                try await damages(work, &report)
            case .storeDamage(var work):
                (work.place, work.scratch) = ("\(directory)/place", scratch + "/damaged")
                try await storeDamages(work, &report)
            case .left(_, let lines, var claim):
                try FileManager.default.copyItem(atPath: "\(directory)/left", toPath: scratch + "/left")
                claim?.model = "\(directory)/model"
                claim?.scratch = scratch + "/check"
                try await check(again: claim == nil ? scratch + "/left/log" : scratch + "/left", lines, claim, &report)
            case .log(_, let lines):
                // A copy, since the check goes on from it.
                try FileManager.default.copyItem(atPath: "\(directory)/log", toPath: scratch + "/log")
                try await check(again: scratch + "/log", lines, nil, &report)
            }
        }
    }

    private func check(
        again path: String, _ lines: [String], _ claim: CheckWork.Left?, _ report: inout AttackReport
    ) async throws {
        let verdict = try await check(path, lines, left: claim)
        report.count(verdict)
        if verdict.kind != .sound { report.findings.append(Finding(verdict.kind.rawValue, verdict.message)) }
    }
}
