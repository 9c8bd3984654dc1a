import Testing

@testable import Building

struct OutputQueueTests {
    private func full() -> OutputQueue {
        var queue = OutputQueue(settings: .init(maximumObjects: 2, stallMilliseconds: 10_000))
        queue.append(Array(repeating: 65, count: 2 << 20), now: 1000)
        return queue
    }

    @Test func aWriterIsHeldUpWhileTooMuchWaits() {
        var queue = full()
        #expect(queue.mustWait(now: 1000))
        #expect(queue.mustWait(now: 10_999))
        queue.sent()
        #expect(!queue.mustWait(now: 11_000))
    }

    @Test func nobodyIsHeldUpForEver() throws {
        var queue = full()
        #expect(!queue.mustWait(now: 11_000))
        for now in 11_000..<11_100 as Range<Int64> { queue.append(Array(repeating: 66, count: 1 << 20), now: now) }
        // Memory has not grown: only what waited before is there.
        queue.sent()
        queue.sent()
        #expect(queue.next == nil)
        queue.append(Array("after\n".utf8), now: 12_000)
        queue.close(now: 12_000)
        let text = String(decoding: try #require(queue.next).bytes, as: UTF8.self)
        #expect(text.contains("\(100 << 20) bytes of output were dropped"))
        #expect(text.hasSuffix("after\n"))
        queue.sent()
        #expect(queue.isDone)
    }

    @Test func aRegionThatIsSlowButMovesLosesNothing() {
        var queue = full()
        var sent: [UInt64] = []
        for second in 1...50 as ClosedRange<Int64> {
            if let next = queue.next { sent.append(next.number) }
            queue.sent()
            queue.append(Array(repeating: 67, count: 1 << 20), now: 1000 + second * 9000)
        }
        queue.close(now: 500_000)
        while let next = queue.next {
            sent.append(next.number)
            queue.sent()
        }
        #expect(sent == Array(0..<52))
    }

    @Test func theEndOfAStalledOutputSaysSo() {
        var queue = full()
        queue.append([1, 2, 3], now: 20_000)
        queue.close(now: 20_000)
        queue.sent()
        queue.sent()
        #expect(queue.next.map { String(decoding: $0.bytes, as: UTF8.self).contains("3 bytes") } == true)
    }
}
