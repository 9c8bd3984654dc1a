import Domain
import Foundation
import Testing

@testable import Building

struct WorkspaceTests {
    @Test func madeAnewDeletedAndSwept() async throws {
        try await withTemporaryDirectory { directory in
            let workspaces = Workspaces(directory: "\(directory)/work")
            let workspace = try await workspaces.create(firstKey)
            try "old".write(toFile: workspace.source + "/old", atomically: false, encoding: .utf8)
            let again = try await workspaces.create(firstKey)
            #expect(again == workspace)
            #expect(!exists(workspace.source + "/old") && exists(workspace.home) && exists(workspace.temporary))

            let other = AttemptKey(job: JobID(rawValue: 23), attempt: AttemptNumber(rawValue: 2))
            let kept = try await workspaces.create(other)
            await workspaces.delete(firstKey)
            await workspaces.delete(firstKey)
            #expect(!exists(workspace.root) && exists(kept.root))

            try "mine".write(toFile: "\(directory)/work/notes", atomically: false, encoding: .utf8)
            try await workspaces.sweep()
            #expect(!exists(kept.root) && exists("\(directory)/work/notes"))
        }
    }

    /// Module caches are left without write permission on purpose; and links are deleted, not followed.
    @Test func readOnlyTreesAndLinksOut() async throws {
        try await withTemporaryDirectory { directory in
            let outside = "\(directory)/outside"
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
            try "precious".write(toFile: outside + "/file", atomically: false, encoding: .utf8)
            let workspaces = Workspaces(directory: "\(directory)/work")
            let workspace = try await workspaces.create(firstKey)
            let locked = workspace.home + "/cache/module"
            try FileManager.default.createDirectory(atPath: locked, withIntermediateDirectories: true)
            try "x".write(toFile: locked + "/file", atomically: false, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: locked + "/link", withDestinationPath: outside)
            for path in [locked, workspace.home + "/cache"] {
                try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: path)
            }
            await workspaces.delete(firstKey)
            #expect(!exists(workspace.root))
            #expect(text(outside + "/file") == "precious")
        }
    }

    @Test func aDirectoryThatCannotBeMade() async throws {
        try await withTemporaryDirectory { directory in
            try "a file".write(toFile: "\(directory)/file", atomically: false, encoding: .utf8)
            let workspaces = Workspaces(directory: "\(directory)/file/work")
            await #expect(throws: WorkspaceFailure.self) { try await workspaces.create(firstKey) }
        }
    }
}

struct ContainedPathTests {
    private func outcome(_ relative: String, _ root: String) -> Result<UInt64, ContainedPath.Failure> {
        do {
            return .success(try ContainedPath.file(relative, in: root + "/in", root: root).bytes)
        } catch {
            return .failure(error)
        }
    }

    @Test func linksAreFollowedButNotOut() async throws {
        try await withTemporaryDirectory { base in
            let root = base + "/root"
            let manager = FileManager.default
            try manager.createDirectory(atPath: root + "/in/dir", withIntermediateDirectories: true)
            try manager.createDirectory(atPath: base + "/root2", withIntermediateDirectories: true)
            for file in ["/root/in/file", "/root/beside", "/root2/file"] {
                try "12345".write(toFile: base + file, atomically: false, encoding: .utf8)
            }
            let links = [
                "good": "file", "up": "../beside", "absolute": root + "/in/file", "chain": "good",
                "out": base + "/root2",
                "password": "/etc/passwd", "climb": "../../../../../../../../etc/passwd", "loop": "loop",
                "gone": "nowhere", "whole": root, "outAndIn": base + "/root2/../root/in/file",
            ]
            for (name, target) in links {
                try manager.createSymbolicLink(atPath: root + "/in/" + name, withDestinationPath: target)
            }
            for name in ["file", "good", "up", "absolute", "chain", "dir/../file", "outAndIn"] {
                #expect(outcome(name, root) == .success(5), "\(name)")
            }
            for name in ["out/file", "password", "climb", "whole", "../../root2/file"] {
                #expect(outcome(name, root) == .failure(.outside), "\(name)")
            }
            for name in ["loop", "gone", "nothing", "file/x/y"] {
                #expect(outcome(name, root) == .failure(.missing), "\(name)")
            }
            #expect(outcome("dir", root) == .failure(.notAFile("a directory")))
        }
    }
}
