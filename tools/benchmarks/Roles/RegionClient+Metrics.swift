import Client
import Domain

/// Whom a mirror's bytes went to, as its metric says it.
enum MirrorReceiver: String {
    case peer
    /// Other regions.
    case other
}

extension RegionClient {
    /// What the region's mirror sent of a build since it started, by its own metrics, broken-off answers included.
    func bytesSent(of build: BuildID, to receiver: MirrorReceiver) async -> UInt64 {
        guard let answer = try? await connection.data(Call(.get, "/metrics")) else { return 0 }
        let line = String(decoding: answer.bytes, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix("drover_mirror_sent_bytes_total{") && $0.contains("build=\"\(build)\"")
                && $0.contains("to=\"\(receiver.rawValue)\"")
        }
        return line?.split(separator: " ").last.flatMap { Double($0) }.map { UInt64($0) } ?? 0
    }
}
