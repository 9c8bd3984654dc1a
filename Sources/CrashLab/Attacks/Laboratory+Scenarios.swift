import Foundation
import Ports

extension Laboratory {
    /// Of the images that are asked for, one in so many is made of each scenario.
    private static let imagesShare = 5
    /// Fewer would leave most moments with one or two.
    private static let fewestImages = 400

    /// Images of every moment of the scenarios that write more than a log: a report each.
    package func attackScenarioImages(
        _ scenarios: [Scenario], swallowing flushes: SwallowedFlushes? = nil
    ) async throws -> [AttackReport] {
        var reports: [AttackReport] = []
        for scenario in scenarios {
            reports.append(
                try await timed("\(Self.usualImages), \(scenario.name)") { report in
                    let recording = try await record(scenario, swallowing: flushes)
                    defer { removePlace("recording") }
                    try await images(of: recording, &report)
                })
        }
        return reports
    }

    /// Runs a scenario under the recorder, from an empty disk.
    ///
    /// - Parameter flushes: that the act's process does not do; those before it do all.
    private func record(_ scenario: Scenario, swallowing flushes: SwallowedFlushes?) async throws -> Recording {
        var recording = Recording(
            directory: try place("recording"), starts: [], seed: settings.seed,
            images: max(Self.fewestImages, settings.images / Self.imagesShare), scenario: scenario)
        try FileManager.default.createDirectory(atPath: recording.diskPath, withIntermediateDirectories: true)
        let stage = ScenarioStage(laboratory: self, place: recording.diskPath)
        progress("recording, \(scenario.name)", 0, 0)
        _ = try await stage.prepare(scenario) {
            if FileManager.default.fileExists(atPath: recording.tracePath) {
                recording.starts.append(try Self.bytes(at: recording.tracePath))
            }
            return children.recording(recording.diskPath, to: recording.tracePath)
        }
        recording.starts.append(try Self.bytes(at: recording.tracePath))
        let (end, lines) = try await stage.act(
            scenario.act, number: scenario.before.count, clients: 1,
            children.recording(recording.diskPath, to: recording.tracePath, swallowing: flushes))
        guard end == .exited(0) else {
            throw LaboratoryFailure("\(scenario.name) fails under the recorder (\(end)): \(lines.last ?? "")")
        }
        try proveComplete(recording)
        return recording
    }
}
