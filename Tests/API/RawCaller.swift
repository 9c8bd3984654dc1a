import NIOCore
import NIOPosix

/// One connection on which requests are written as they are, an answer waited for after each.
enum RawCaller {
    /// A request's text.
    struct Question {
        var text: String

        static func claim(wait: String) -> Question {
            let body = #"{"wait":"\#(wait)"}"#
            return Question(
                text: "POST /v1/workers/w1/claim HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }
    }

    struct Ended: Error {}

    /// Lends one connection.
    static func with(port: Int, _ body: (inout Conversation) async throws -> Void) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        try await channel.executeThenClose { inbound, outbound in
            var conversation = Conversation(answers: inbound.makeAsyncIterator(), outbound: outbound)
            try await body(&conversation)
        }
    }

    struct Conversation {
        var answers: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

        /// The answer, which is short enough to come in one piece.
        mutating func ask(_ question: Question) async throws -> String {
            try await outbound.write(ByteBuffer(string: question.text))
            guard let answer = try await answers.next() else { throw Ended() }
            return String(buffer: answer)
        }

        /// What comes until it is enough.
        mutating func ask(_ question: Question, until isEnough: (String) -> Bool) async throws -> String {
            var text = try await ask(question)
            while !isEnough(text) {
                guard let more = try await answers.next() else { throw Ended() }
                text += String(buffer: more)
            }
            return text
        }
    }
}
