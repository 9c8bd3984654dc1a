package import Ports

extension DetachedProcesses {
    /// The process that has this number now; nil when none runs under it.
    package func identity(of pid: Int32) -> ProcessIdentity? {
        guard let status = ProcessStatus(pid: pid), !status.hasEnded else { return nil }
        return ProcessIdentity(pid: pid, startTicks: status.startTicks, boot: bootIdentity)
    }
}
