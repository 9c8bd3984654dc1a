import NIOCore

/// A whole answer with a `Content-Length`.
struct HTTPAnswer {
    var status: Int
    var body: String

    /// Nil, and nothing taken, while it is not all there.
    init?(taking buffer: inout ByteBuffer) {
        let bytes = buffer.readableBytesView
        guard let headEnd = Self.headEnd(bytes) else { return nil }
        let head = String(decoding: bytes[bytes.startIndex..<headEnd], as: UTF8.self).lowercased()
        guard let place = head.firstRange(of: "content-length: "),
            let length = Int(head[place.upperBound...].prefix { $0.isNumber }),
            bytes.endIndex - headEnd >= length, let status = Int(head.dropFirst(9).prefix(3))
        else { return nil }
        self.status = status
        body = String(decoding: bytes[headEnd..<headEnd + length], as: UTF8.self)
        buffer.moveReaderIndex(forwardBy: headEnd - bytes.startIndex + length)
    }

    /// The same, of something that was done; else it fails.
    init?(done buffer: inout ByteBuffer) throws {
        self.init(taking: &buffer)
        guard status == 200 || status == 201 else { throw BenchmarkFailure("answered \(status): \(body)") }
    }

    /// Behind the empty line.
    private static func headEnd(_ bytes: ByteBufferView) -> Int? {
        var index = bytes.startIndex
        while index + 3 < bytes.endIndex {
            if bytes[index] == 13, bytes[index + 1] == 10, bytes[index + 2] == 13, bytes[index + 3] == 10 {
                return index + 4
            }
            index += 1
        }
        return nil
    }
}

/// Requests to Drover's API as text.
struct HTTPRequests: Sendable {
    let host: String

    func enqueue(_ names: inout CommandNames) -> String {
        let (commit, key) = names.next()
        return post(
            "/v1/jobs", actor: "person:bench", key: key,
            "{\"app\":\"\(LoadWords.app)\",\"repository\":\"\(LoadWords.repository)\",\"commit\":\"\(commit)\"}")
    }

    func claim(_ names: inout CommandNames) -> String {
        post("/v1/workers/\(names.worker)/claim", actor: "worker:\(names.worker)", key: names.next().key, "{}")
    }

    func heartbeat(_ names: CommandNames, job: UInt64, attempt: UInt64) -> String {
        post(
            "/v1/jobs/\(job)/attempts/\(attempt)/heartbeat", actor: "worker:\(names.worker)", key: nil,
            "{\"counter\":1,\"stage\":\"build\"}")
    }

    private func post(_ path: String, actor: String, key: String?, _ body: String) -> String {
        let keyLine = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return "POST \(path) HTTP/1.1\r\nHost: \(host)\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\nDrover-Actor: \(actor)\r\n\(keyLine)\r\n\(body)"
    }
}
