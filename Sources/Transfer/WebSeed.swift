internal import Domain
internal import NIOCore
internal import NIOHTTP1
internal import Packs
internal import Swarm
internal import Wire

/// This server as a BitTorrent client's web seed (BEP 19, https://www.bittorrent.org/beps/bep_0019.html): the URL of a
/// single file, whose bytes are asked for by range.
enum WebSeed {
    static let mediaType = "application/x-bittorrent"
    /// The longest name of a host, and a port.
    private static let maximumAuthorityBytes = 253 + 6

    /// What refuses a range for now. libtorrent (2.0) asks a web seed never again that refuses without it, because it then
    /// believes that the file is not there; with it, again after 30 s.
    static func noRange(of totalBytes: UInt64) -> (String, String) { ("Content-Range", "bytes */\(totalBytes)") }

    /// The `.torrent` file's bytes.
    static func torrent(of pack: any PackSource, from seed: String) -> [UInt8] {
        var metainfo = pack.metainfo
        metainfo.webSeeds = [seed]
        return metainfo.bytes
    }

    /// The pack's URL, at the place where the client reached this server: as its `Host` says, else at the address that
    /// the connection came to.
    static func url(
        of name: PackName, _ headers: HTTPHeaders, local: SocketAddress?, isSecure: Bool
    ) throws(Problem) -> String {
        "\(isSecure ? "https" : "http")://\(try authority(headers, local))/v1/packs/\(name.app)/\(name.build)"
    }

    private static func authority(_ headers: HTTPHeaders, _ local: SocketAddress?) throws(Problem) -> String {
        let told = headers["Host"]
        if told.isEmpty, let host = local?.ipAddress, let port = local?.port {
            return BoundAddress(host: host, port: port).description
        }
        guard told.count == 1, isAuthority(told[0]) else {
            throw Problem(.badHeader, "name this server in one header Host: a name or an address, and maybe a port")
        }
        return told[0]
    }

    /// Whether it is HOST or HOST:PORT: a name, an IPv4 address or an IPv6 address in brackets, with nothing escaped.
    static func isAuthority(_ text: String) -> Bool {
        guard text.utf8.count <= maximumAuthorityBytes else { return false }
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "[") {
            guard let end = rest.firstIndex(of: UInt8(ascii: "]")), end > rest.index(after: rest.startIndex),
                rest[..<end].dropFirst().allSatisfy(isOfAddress)
            else { return false }
            rest = rest[rest.index(after: end)...]
        } else {
            let host = rest.prefix { $0 != UInt8(ascii: ":") }
            guard !host.isEmpty, host.allSatisfy(isOfName) else { return false }
            rest = rest[host.endIndex...]
        }
        guard let colon = rest.first else { return true }
        guard colon == UInt8(ascii: ":"), let port = plainDecimal(Substring(rest.dropFirst())) else { return false }
        return (1...65535).contains(port)
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Of an IPv6 address, which may end in an IPv4 one.
    private static func isOfAddress(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
