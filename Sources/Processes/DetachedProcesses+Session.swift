internal import Foundation
internal import Glibc
package import Ports

/// A detached process leads a session, and what it starts belongs to it: a server behind a shell outlives its shell.
extension DetachedProcesses {
    /// Whether anything runs in the session that this process leads, or led: also after its end. Looks at all of
    /// `/proc`: blocking.
    package func hasSession(_ identity: ProcessIdentity) -> Bool { !groups(of: identity).isEmpty }

    /// Signals everything in the session, also when its leader has ended. Looks at all of `/proc`: blocking.
    package func signalSession(_ identity: ProcessIdentity, _ number: Int32) {
        for group in groups(of: identity) { kill(-group, number) }
    }

    /// The process that leads the session of the one with this number; one that has ended is named by its number alone.
    package func sessionLeader(of pid: Int32) -> ProcessIdentity? {
        guard let status = ProcessStatus(pid: pid), !status.hasEnded, status.session > 0 else { return nil }
        return identity(of: status.session) ?? ProcessIdentity(pid: status.session, startTicks: 0, boot: bootIdentity)
    }

    /// The process groups of the session in which something runs.
    private func groups(of identity: ProcessIdentity) -> [Int32] {
        guard identity.boot == bootIdentity else { return [] }
        // The kernel gives no number again that a session still has: another process under it says that ours is gone.
        if let leader = ProcessStatus(pid: identity.pid), leader.startTicks != identity.startTicks { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let members = names.compactMap { Int32($0) }.compactMap { ProcessStatus(pid: $0) }.filter {
            $0.session == identity.pid && !$0.hasEnded
        }
        return Set(members.map(\.group)).sorted()
    }
}
