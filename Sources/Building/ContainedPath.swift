internal import Foundation

/// Finds files that a repository names, without ever leaving the directory it may use: neither by `..` nor by symlinks.
///
/// Nothing may change the tree meanwhile; a build's processes are gone when this is asked.
struct ContainedPath {
    enum Failure: Error, Hashable, Sendable {
        case missing
        /// It leads outside, over a symlink.
        case outside
        case notAFile(String)
    }

    /// Links followed in one path, as the kernel's own limit.
    private static let maximumLinks = 40

    /// The absolute path and size of a regular file. `directory` is where `relative` begins; `root` is what may not be
    /// left. `mayBeLink`: whether the file itself may be a symlink; directories on the way may always be.
    static func file(
        _ relative: String, in directory: String, root: String, mayBeLink: Bool = true
    ) throws(Failure) -> (path: String, bytes: UInt64) {
        guard let realRoot = resolve(root) else { throw .missing }
        if !mayBeLink, isLink(directory + "/" + parts(relative).joined(separator: "/")) {
            throw .notAFile("a symlink")
        }
        guard let found = resolve(directory + "/" + relative) else { throw .missing }
        guard found.count > realRoot.count, found.starts(with: realRoot) else { throw .outside }
        let path = "/" + found.joined(separator: "/")
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { throw .missing }
        guard attributes[.type] as? FileAttributeType == .typeRegular else { throw .notAFile(kind(attributes)) }
        return (path, (attributes[.size] as? NSNumber)?.uint64Value ?? 0)
    }

    private static func isLink(_ path: String) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.type] as? FileAttributeType == .typeSymbolicLink
    }

    private static func kind(_ attributes: [FileAttributeKey: Any]) -> String {
        switch attributes[.type] as? FileAttributeType {
        case .typeDirectory?: "a directory"
        case .typeSocket?: "a socket"
        default: "a device or pipe"
        }
    }

    /// The parts of the path with every symlink followed; nil when something on the way is missing.
    private static func resolve(_ path: String) -> [String]? {
        var done: [String] = []
        var left = Array(parts(path).reversed())
        var links = 0
        while let part = left.popLast() {
            if part == ".." {
                _ = done.popLast()
                continue
            }
            let here = "/" + (done + [part]).joined(separator: "/")
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: here) else { return nil }
            guard attributes[.type] as? FileAttributeType == .typeSymbolicLink else {
                done.append(part)
                continue
            }
            links += 1
            guard links <= maximumLinks,
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: here)
            else { return nil }
            if target.hasPrefix("/") { done = [] }
            left.append(contentsOf: parts(target).reversed())
        }
        return done
    }

    private static func parts(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }
}
