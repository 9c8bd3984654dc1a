internal import Domain

/// Writes one flat object in the order of its fields' names, as `WireJSON` does, several times as fast.
struct PlainJSON {
    private(set) var bytes: [UInt8] = []
    /// Whether every text was written as it is: one with quotes, backslashes or control characters is `WireJSON`'s.
    private(set) var isPlain = true

    init(capacity: Int) {
        bytes.reserveCapacity(capacity)
        bytes.append(UInt8(ascii: "{"))
    }

    mutating func number(_ name: StaticString, _ number: UInt64) {
        begin(name)
        var (rest, start) = (number, bytes.count)
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        var end = bytes.count - 1
        while start < end {
            bytes.swapAt(start, end)
            (start, end) = (start + 1, end - 1)
        }
    }

    mutating func text(_ name: StaticString, _ text: String) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        let start = bytes.count
        bytes.append(contentsOf: text.utf8)
        for place in start..<bytes.count {
            let byte = bytes[place]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7f {
                isPlain = false
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func end() { bytes.append(UInt8(ascii: "}")) }

    private mutating func begin(_ name: StaticString) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: name.description.utf8)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }
}

extension ClaimAnswer {
    /// The bytes that `WireJSON` would write.
    package func bytes() throws -> [UInt8] {
        var json = PlainJSON(capacity: 512)
        json.text("app", app.rawValue)
        json.number("attempt", attempt.rawValue)
        json.text("commit", commit.rawValue)
        json.number("heartbeat_seconds", UInt64(heartbeatSeconds))
        json.number("job", job.rawValue)
        json.number("job_timeout_seconds", UInt64(jobTimeoutSeconds))
        json.number("lease_seconds", UInt64(leaseSeconds))
        json.text("recipe", recipe)
        json.text("region_endpoint", regionEndpoint)
        json.text("repository", repository)
        json.number("sequence", sequence.rawValue)
        json.end()
        return json.isPlain ? json.bytes : [UInt8](try WireJSON.encode(self))
    }
}
