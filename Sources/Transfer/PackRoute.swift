internal import Domain
internal import NIOHTTP1
internal import Packs
internal import Swarm
internal import Wire

/// What a request asks for. Paths are taken as they stand: nothing in them is decoded, so nothing can climb out.
enum PackRoute: Hashable, Sendable {
    case pack(PackName)
    case manifest(PackName)
    case torrent(PackName)
    case have(PackName)
    /// The same, and then what comes.
    case haves(PackName)
    case offer(PackName, OfferQuestion)
    case announce(PackName, AnnounceQuestion)
    case list

    /// The query of a blocking GET.
    struct OfferQuestion: Hashable, Sendable {
        /// Nil: answer at once.
        var after: UInt64?
        var waitMilliseconds: Int64 = 0
        var wanted: [Int] = []
        var held: [Int] = []
    }

    /// A peer fetches or has the pack.
    struct AnnounceQuestion: Hashable, Sendable {
        /// Where it serves pieces, at the address that it asks from.
        var port: UInt16
        /// Tell who is near it.
        var labels: [String: String] = [:]
    }

    static func parse(
        _ head: HTTPRequestHead, _ settings: PieceServerSettings
    ) throws(Problem) -> PackRoute {
        guard head.method == .GET || head.method == .HEAD else {
            throw Problem(code: "bad-method", status: 405, title: "Only GET and HEAD", detail: "use GET or HEAD here")
        }
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1] : ""
        if path.count == 6, path[5] == "announce", let name = pack(path) {
            return .announce(name, try announcement(query))
        }
        if path.count == 6, path[5] == "offer", let name = pack(path) {
            return .offer(name, try question(query, settings))
        }
        guard query.isEmpty else { throw badQuery("only offer and announce take parameters") }
        if path == ["", "v1", "packs"] { return .list }
        guard (5...6).contains(path.count), let name = pack(path) else {
            throw notFound("there is nothing at this path; packs are at /v1/packs/APP/ID, their list at /v1/packs")
        }
        guard path.count == 6, path[5] != Metainfo.fileName(of: name.app, name.build) else { return .pack(name) }
        switch path[5] {
        case "manifest": return .manifest(name)
        case "torrent": return .torrent(name)
        case "have": return .have(name)
        case "haves": return .haves(name)
        default: throw notFound("a pack has manifest, torrent, have, haves, offer and announce under it, nothing else")
        }
    }

    private static func pack(_ path: [Substring]) -> PackName? {
        guard path.count >= 5, path[0].isEmpty, path[1] == "v1", path[2] == "packs",
            let app = AppName(rawValue: String(path[3])), let build = BuildID(String(path[4]))
        else { return nil }
        return PackName(app: app, build: build)
    }

    static func notFound(_ detail: String) -> Problem { Problem(.notFound, detail) }

    private static func question(
        _ query: Substring, _ settings: PieceServerSettings
    ) throws(Problem) -> OfferQuestion {
        var question = OfferQuestion()
        guard !query.isEmpty else { return question }
        for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = sides.count > 1 ? sides[1] : ""
            switch sides[0] {
            case "after":
                guard let after = plainDecimal(value) else { throw badQuery("after is a version: a whole number") }
                question.after = after
            case "wait":
                guard let wait = WireDuration(String(value)) else { throw badQuery("wait is a duration, as in 10s") }
                question.waitMilliseconds = min(wait.milliseconds, settings.maximumWaitMilliseconds)
            case "wanted": question.wanted = try pieces(value, "wanted", settings)
            case "held": question.held = try pieces(value, "held", settings)
            default: throw badQuery("only after, wait, wanted and held are known here")
            }
        }
        return question
    }

    private static func pieces(
        _ text: Substring, _ name: String, _ settings: PieceServerSettings
    ) throws(Problem) -> [Int] {
        guard !text.isEmpty else { return [] }
        let pieces = text.split(separator: ",", omittingEmptySubsequences: false).map { plainDecimal($0) }
        guard pieces.count <= settings.maximumWantedPieces,
            pieces.allSatisfy({ ($0 ?? .max) < PieceLayout.maximumPieces })
        else { throw badQuery("\(name) is at most \(settings.maximumWantedPieces) piece numbers with commas between") }
        return pieces.compactMap { $0.map { Int($0) } }
    }

    private static func announcement(_ query: Substring) throws(Problem) -> AnnounceQuestion {
        var question = AnnounceQuestion(port: 0)
        for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = sides.count > 1 ? sides[1] : ""
            switch sides[0] {
            case "port": question.port = plainDecimal(value).flatMap { UInt16(exactly: $0) } ?? 0
            case "zone", "rack":
                guard isPlainName(String(value)) else { throw badQuery("\(sides[0]) is a name, as in rack-7") }
                question.labels[String(sides[0])] = String(value)
            default: throw badQuery("only port, zone and rack are known here")
            }
        }
        guard question.port > 0 else { throw badQuery("port says where you serve pieces: 1 to 65535") }
        return question
    }

    private static func badQuery(_ detail: String) -> Problem { Problem(.badQuery, detail) }
}

/// A single byte range of a `Range` header.
enum ByteRange {
    /// The bytes that are meant, never empty. Nil for anything but one satisfiable `bytes=A-B`, `A-` or `-N`.
    static func parse(_ text: String, totalBytes: UInt64) -> Range<UInt64>? {
        guard text.hasPrefix("bytes=") else { return nil }
        let sides = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard sides.count == 2, totalBytes > 0 else { return nil }
        if sides[0].isEmpty {
            guard let count = plainDecimal(sides[1]), count > 0 else { return nil }
            return (totalBytes - min(count, totalBytes))..<totalBytes
        }
        guard let first = plainDecimal(sides[0]), first < totalBytes else { return nil }
        guard !sides[1].isEmpty else { return first..<totalBytes }
        guard let last = plainDecimal(sides[1]), last >= first else { return nil }
        return first..<(min(last, totalBytes - 1) + 1)
    }
}
