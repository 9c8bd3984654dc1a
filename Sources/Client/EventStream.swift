import AsyncHTTPClient
package import Domain
import Foundation
import NIOCore
import Wire

/// One event of the stream, as its line says it.
package struct EventLine: Hashable, Sendable {
    package var sequence: LogSequence
    /// One JSON object.
    package var json: String

    package init(sequence: LogSequence, json: String) { (self.sequence, self.json) = (sequence, json) }
}

/// The log's events in order, none twice and none missing: a broken connection is opened again behind the last one.
/// Reading drives it; nothing is fetched ahead of the reader but what the connection holds.
package struct EventStream: AsyncSequence, Sendable {
    package typealias Element = EventLine
    package typealias Failure = ClientFailure

    let connection: Connection
    let after: LogSequence
    let follow: Bool

    package func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    package struct Iterator: AsyncIteratorProtocol {
        private let stream: EventStream
        private var last: LogSequence
        private var body: HTTPClientResponse.Body.AsyncIterator?
        private var buffer = ByteBuffer()
        /// How far the buffer is known to hold no line's end.
        private var scanned = 0
        /// Connections in a row that gave no event.
        private var failures = 0

        init(stream: EventStream) { (self.stream, last) = (stream, stream.after) }

        package mutating func next() async throws(ClientFailure) -> EventLine? {
            while true {
                if let line = try takeLine() {
                    if let event = try event(line) { return event }
                    continue
                }
                if body == nil { body = try await open() }
                switch try await read() {
                case .bytes: continue
                case .ended where !stream.follow: return nil
                case .ended, .broken: try await reopen()
                }
            }
        }

        private enum Part {
            case bytes, ended, broken
        }

        private func open() async throws(ClientFailure) -> HTTPClientResponse.Body.AsyncIterator {
            var call = Call(.get, "/v1/events")
            call.query = GlobalClient.query(("after", last), ("follow", stream.follow ? "true" : nil))
            return try await stream.connection.stream(call).body.makeAsyncIterator()
        }

        private mutating func read() async throws(ClientFailure) -> Part {
            do {
                guard var chunk = try await body?.next() else { return .ended }
                buffer.discardReadBytes()
                buffer.writeBuffer(&chunk)
                return .bytes
            } catch {
                if error is CancellationError || Task.isCancelled { throw .cancelled }
                return .broken
            }
        }

        /// What stands unfinished in the buffer comes again.
        private mutating func reopen() async throws(ClientFailure) {
            (body, buffer, scanned) = (nil, ByteBuffer(), 0)
            try await stream.connection.pause(retry: failures)
            failures += 1
            if failures > stream.connection.settings.maximumRetries, !stream.follow {
                throw .unreachable("\(stream.connection.endpoint) broke off the event stream again and again")
            }
        }

        private mutating func takeLine() throws(ClientFailure) -> String? {
            let view = buffer.readableBytesView
            guard let end = view.dropFirst(scanned).firstIndex(of: UInt8(ascii: "\n")) else {
                scanned = view.count
                guard scanned <= stream.connection.settings.maximumLineBytes else {
                    throw .badAnswer("a line of the event stream does not end")
                }
                return nil
            }
            let line = String(decoding: view[..<end], as: UTF8.self)
            buffer.moveReaderIndex(forwardBy: end - view.startIndex + 1)
            scanned = 0
            return line
        }

        /// Nil for batches' ends, for lines that only say that the stream lives, and for events seen already.
        private mutating func event(_ line: String) throws(ClientFailure) -> EventLine? {
            guard !line.isEmpty else { return nil }
            /// A batch's end has none.
            struct Head: Decodable { var sequence: LogSequence? }
            do throws(Problem) {
                guard let sequence = try WireJSON.decode(Head.self, from: Data(line.utf8)).sequence, sequence > last
                else { return nil }
                (last, failures) = (sequence, 0)
                return EventLine(sequence: sequence, json: line)
            } catch {
                throw .badAnswer("a line of the event stream cannot be read: \(error.detail)")
            }
        }
    }
}
