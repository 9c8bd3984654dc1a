import NIOCore

/// A whole answer with a `Content-Length`.
struct HTTPAnswer {
    var status: Int
    private var content: ByteBuffer

    var body: String { String(buffer: content) }

    /// Nil, and nothing taken, while it is not all there.
    init?(taking buffer: inout ByteBuffer) {
        guard let head = unsafe buffer.withUnsafeReadableBytes({ unsafe Head($0) }),
            buffer.readableBytes >= head.bytes + head.contentBytes
        else { return nil }
        status = head.status
        buffer.moveReaderIndex(forwardBy: head.bytes)
        guard let content = buffer.readSlice(length: head.contentBytes) else { return nil }
        self.content = content
    }

    /// The same, of something that was done; else it fails.
    init?(done buffer: inout ByteBuffer) throws {
        self.init(taking: &buffer)
        guard status == 200 || status == 201 else { throw BenchmarkFailure("answered \(status): \(body)") }
    }

    /// Looked at byte by byte: the generator's time is taken from the server.
    private struct Head {
        private static let name = Array("content-length: ".utf8)

        /// Behind the empty line.
        var bytes = 0
        var status = 0
        var contentBytes = 0

        /// Nil where it is not all there.
        init?(_ answer: UnsafeRawBufferPointer) {
            guard answer.count > 12 else { return nil }
            status = (9..<12).reduce(0) { unsafe $0 * 10 + Int(answer[$1]) - 48 }
            var start = 0
            while let end = unsafe Self.lineEnd(answer, from: start) {
                if end == start {
                    bytes = end + 2
                    return
                }
                unsafe takeLength(answer, start, end)
                start = end + 2
            }
            return nil
        }

        private mutating func takeLength(_ answer: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
            let name = Self.name
            guard end - start > name.count,
                name.indices.allSatisfy({ unsafe answer[start + $0] | 0x20 == name[$0] | 0x20 })
            else { return }
            contentBytes = (start + name.count..<end).reduce(0) { unsafe $0 * 10 + Int(answer[$1]) - 48 }
        }

        private static func lineEnd(_ answer: UnsafeRawBufferPointer, from start: Int) -> Int? {
            var place = start
            while place + 1 < answer.count {
                if unsafe answer[place] == 13, unsafe answer[place + 1] == 10 { return place }
                place += 1
            }
            return nil
        }
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
        post("/v1/workers/\(names.worker)/claim", actor: "worker:\(names.worker)", key: names.nextKey(), "{}")
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
