internal import Foundation
internal import Logging
internal import Processes

/// The directories of one attempt. Nothing of an attempt is anywhere else.
package struct Workspace: Hashable, Sendable {
    package let key: AttemptKey
    /// All of it.
    package let root: String
    /// The commit's files, where the build runs.
    package var source: String { root + "/source" }
    /// The build's home, so that no build finds what another left.
    package var home: String { root + "/home" }
    package var temporary: String { root + "/tmp" }
    /// What git is told; outside of what the build sees as its own.
    package var control: String { root + "/control" }
}

package struct WorkspaceFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is so and what to do.
    package var message: String
    package var description: String { message }
}

/// The workspaces of one worker, in one directory that is its alone. File calls run on a thread of their own.
package struct Workspaces: Sendable {
    private static let files = SerialThread(name: "drover-workspace")

    private let directory: String
    private let logger = Logger(label: "drover.workspace")

    /// `directory` is absolute.
    package init(directory: String) { self.directory = directory }

    /// Deletes what an earlier run of this worker left behind.
    package func sweep() async throws(WorkspaceFailure) {
        let directory = directory
        let left = try await Self.files.run { () throws(WorkspaceFailure) -> [String] in
            try makeDirectory(directory)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return names.filter(isAttemptName).filter { !removeTree("\(directory)/\($0)") }
        }
        for name in left { logger.warning("workspace \(directory)/\(name) cannot be deleted; delete it by hand") }
    }

    /// Fresh and empty, even if something of this name was there.
    package func create(_ key: AttemptKey) async throws(WorkspaceFailure) -> Workspace {
        let workspace = Workspace(key: key, root: "\(directory)/\(key)")
        return try await Self.files.run { () throws(WorkspaceFailure) -> Workspace in
            guard removeTree(workspace.root) else {
                throw WorkspaceFailure(
                    message: "\(workspace.root) is left from before and cannot be deleted; delete it")
            }
            for path in [workspace.source, workspace.home, workspace.temporary, workspace.control] {
                try makeDirectory(path)
            }
            return workspace
        }
    }

    /// Deletes a workspace; one that is gone already is no matter.
    package func delete(_ key: AttemptKey) async {
        let path = "\(directory)/\(key)"
        let isGone = await Self.files.run { removeTree(path) }
        if !isGone { logger.warning("workspace \(path) cannot be deleted; the next start tries again") }
    }

    /// Runs file work of this room on the same thread.
    static func onFileThread<Result: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        try await files.run(body)
    }
}

/// `JOB-ATTEMPT`, in digits: nothing else is ours to delete.
private func isAttemptName(_ name: String) -> Bool {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
}

private func makeDirectory(_ path: String) throws(WorkspaceFailure) {
    do {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
        throw WorkspaceFailure(
            message: "\(path) cannot be made: \(error.localizedDescription). Check space and rights.")
    }
}

/// Deletes a tree; whether it is gone. Builds leave directories that may not be written to (module caches do so on
/// purpose), whose files only go after that is changed.
private func removeTree(_ path: String) -> Bool {
    let manager = FileManager.default
    func exists() -> Bool { (try? manager.attributesOfItem(atPath: path)) != nil }
    guard exists() else { return true }
    if (try? manager.removeItem(atPath: path)) != nil { return true }
    var directories = [path]
    while let directory = directories.popLast() {
        try? manager.setAttributes([.posixPermissions: 0o700], ofItemAtPath: directory)
        for name in (try? manager.contentsOfDirectory(atPath: directory)) ?? [] {
            let child = "\(directory)/\(name)"
            let type = (try? manager.attributesOfItem(atPath: child))?[.type] as? FileAttributeType
            if type == .typeDirectory { directories.append(child) }
        }
    }
    try? manager.removeItem(atPath: path)
    return !exists()
}
