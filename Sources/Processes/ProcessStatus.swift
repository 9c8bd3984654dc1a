internal import Glibc
internal import Ports

/// What `/proc` says about a process (proc(5)).
struct ProcessStatus: Hashable, Sendable {
    /// One letter: `R`, `S`, ..., `Z` for a zombie.
    var state: UInt8
    /// Field 5: its process group.
    var group: Int32
    /// Field 6: its session.
    var session: Int32
    /// Field 22: clock ticks from boot to its start.
    var startTicks: UInt64

    /// Nil when there is no such process.
    init?(pid: Int32) {
        guard let bytes = contentsOfSmallFile("/proc/\(pid)/stat") else { return nil }
        self.init(stat: bytes)
    }

    /// The second field is the program's name in parentheses, which may itself hold spaces and parentheses: the fields
    /// are counted from the last `)`.
    init?(stat bytes: [UInt8]) {
        guard let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first, let group: Int32 = number(fields[2]),
            let session: Int32 = number(fields[3]), let ticks: UInt64 = number(fields[19])
        else { return nil }
        (self.state, self.group, self.session, self.startTicks) = (state, group, session, ticks)
    }

    /// A zombie or one being torn down runs no more.
    var hasEnded: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") || state == UInt8(ascii: "x") }
}

private func number<Number: FixedWidthInteger>(_ field: ArraySlice<UInt8>) -> Number? {
    Number(String(decoding: field, as: UTF8.self))
}

/// This boot's random id; empty where the kernel tells none.
let bootIdentity: String = {
    let bytes = contentsOfSmallFile("/proc/sys/kernel/random/boot_id") ?? []
    return String(decoding: bytes.filter { $0 > UInt8(ascii: " ") }, as: UTF8.self)
}()

/// The bytes of a file of `/proc`, 16 KiB at most; nil when it cannot be read.
private func contentsOfSmallFile(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
    return count < 0 ? nil : Array(buffer.prefix(count))
}
