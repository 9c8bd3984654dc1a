import Glibc
import Synchronization

/// Every environment this process has open, by its directory's inode: opening one twice would break LMDB's locks.
final class EnvironmentRegistry: Sendable {
    static let shared = EnvironmentRegistry()

    private let environments = Mutex<[FileIdentity: Environment]>([:])

    func open(directory: String, options: Environment.Options) throws(LMDBFailure) -> Environment {
        guard let identity = EnvironmentFile.identity(directory) else {
            throw LMDBFailure(.missing, "there is no directory \(directory): check the path", number: ENOENT)
        }
        return try environments.withLock { (open) throws(LMDBFailure) in
            if let environment = open[identity] {
                if environment.isReadOnly && options.access != .readOnly { try environment.reopen(options: options) }
                environment.holders += 1
                return environment
            }
            let environment = try Environment(directory: directory, identity: identity, options: options)
            open[identity] = environment
            return environment
        }
    }

    func close(_ environment: Environment) {
        environments.withLock { open in
            environment.holders -= 1
            guard environment.holders == 0 else { return }
            environment.closeFiles()
            open[environment.identity] = nil
        }
    }
}
