package import Domain
import Foundation
package import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization
package import Wire

/// Routes that are asked all the time, in a form that nearly every request has. They are answered on the event loop,
/// without a task; whatever is otherwise goes to the router, which is the measure of what they answer.
package protocol HotRoutes: Sendable {
    /// Begins to answer a request, and says that it has; else the router answers. `done` is called once, on any thread:
    /// with nil the router answers after all, so nothing may have been done then.
    func take(_ request: HotRequest, done: @escaping @Sendable (HotAnswer?) -> Void) -> Bool
}

/// A whole POST of JSON, from a host and with headers that the gate has let pass.
package struct HotRequest: Sendable {
    /// With its query.
    package var path: String
    package var idempotencyKey: String?
    package var body: [UInt8]
}

package struct HotAnswer: Sendable {
    /// As the router has it, with its parameters' names.
    package var route: String
    /// A whole JSON document.
    package var body: [UInt8]
    package var sequence: LogSequence
    package var status = HTTPResponse.Status.ok
    package var type = "application/json"

    package init(route: String, body: [UInt8], sequence: LogSequence) {
        (self.route, self.body, self.sequence) = (route, body, sequence)
    }

    package init(route: String, problem: Problem, head: LogSequence) {
        var problem = problem
        problem.sequence = problem.sequence ?? head
        self.init(route: route, body: [UInt8]((try? WireJSON.encode(problem)) ?? Data()), sequence: head)
        (status, type) = (HTTPResponse.Status(code: problem.status), "application/problem+json")
    }
}

/// Stands before everything that a router needs: takes hot requests out of the stream, one at a time, and keeps the
/// order of answers.
final class HotLane: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Longer bodies are the router's.
    private static let maximumBodyBytes = 1024

    private enum Held {
        case part(HTTPServerRequestPart)
        case readComplete
        case event(Any)
    }

    /// What came of a request that may be hot.
    private struct Candidate {
        var head: HTTPRequestHead
        var body = ByteBuffer()
        var start = ContinuousClock.now
    }

    private let routes: any HotRoutes
    private let settings: ServingSettings
    private let metrics: RequestMetrics
    private var context: ChannelHandlerContext?
    private var candidate: Candidate?
    private var isAnswering = false
    /// What came while a hot request is answered; it waits.
    private var held: [Held] = []
    private var wantsRead = false
    /// Requests that the router has and has not answered: a hot one behind them is the router's too.
    private var routed = 0
    /// The last host that may be called by.
    private var host = ""

    init(routes: any HotRoutes, settings: ServingSettings, metrics: RequestMetrics) {
        (self.routes, self.settings, self.metrics) = (routes, settings, metrics)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { take(unwrapInboundIn(data), context) }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isAnswering { held.append(.readComplete) } else { context.fireChannelReadComplete() }
    }

    /// The end of what a caller sends, or of the server, waits for the answer.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isAnswering { held.append(.event(event)) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        (candidate, held) = (nil, [])
        context.fireChannelInactive()
    }

    /// Nothing more is read while something waits.
    func read(context: ChannelHandlerContext) {
        if held.contains(where: { if case .part = $0 { true } else { false } }) {
            wantsRead = true
        } else {
            context.read()
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { routed -= 1 }
        context.write(data, promise: promise)
    }

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        if isAnswering { return held.append(.part(part)) }
        switch part {
        case .head(let head):
            if routed == 0, isUsual(head) {
                candidate = Candidate(head: head)
            } else {
                routed += 1
                context.fireChannelRead(wrapInboundOut(part))
            }
        case .body(var bytes):
            guard candidate != nil else { return context.fireChannelRead(wrapInboundOut(part)) }
            candidate?.body.writeBuffer(&bytes)
        case .end(let trailers):
            guard let candidate else { return context.fireChannelRead(wrapInboundOut(part)) }
            if trailers != nil || !begin(candidate, context) { giveUp(trailers, context) }
        }
    }

    private func begin(_ candidate: Candidate, _ context: ChannelHandlerContext) -> Bool {
        let request = HotRequest(
            path: candidate.head.uri,
            idempotencyKey: candidate.head.headers.first(name: WireHeader.idempotencyKey),
            body: Array(buffer: candidate.body))
        let lane = NIOLoopBound(self, eventLoop: context.eventLoop)
        isAnswering = true
        let isTaken = routes.take(request) { answer in
            lane.eventLoop.execute { lane.value.end(answer) }
        }
        if !isTaken { isAnswering = false }
        return isTaken
    }

    /// The router answers.
    private func giveUp(_ trailers: HTTPHeaders?, _ context: ChannelHandlerContext) {
        guard let request = candidate.take() else { return }
        routed += 1
        context.fireChannelRead(wrapInboundOut(.head(request.head)))
        if request.body.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(.body(request.body))) }
        context.fireChannelRead(wrapInboundOut(.end(trailers)))
    }

    private func end(_ answer: HotAnswer?) {
        isAnswering = false
        guard let context, context.channel.isActive else { return }
        if let answer {
            send(answer, context)
        } else {
            giveUp(nil, context)
            context.fireChannelReadComplete()
        }
        var waiting = held[...]
        held = []
        while let next = waiting.popFirst() {
            switch next {
            case .part(let part): take(part, context)
            case .readComplete: channelReadComplete(context: context)
            case .event(let event): userInboundEventTriggered(context: context, event: event)
            }
        }
        guard wantsRead else { return }
        wantsRead = false
        read(context: context)
    }

    private func send(_ answer: HotAnswer, _ context: ChannelHandlerContext) {
        var bytes = context.channel.allocator.buffer(capacity: 320 + answer.body.count)
        let status = answer.status
        bytes.writeString("HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\nContent-Type: ")
        bytes.writeString(answer.type)
        bytes.writeString("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nDrover-Sequence: ")
        bytes.writeString(answer.sequence.description)
        bytes.writeString(status.code == 503 ? "\r\nRetry-After: 1\r\nContent-Length: " : "\r\nContent-Length: ")
        bytes.writeString(String(answer.body.count))
        bytes.writeString("\r\nDate: ")
        bytes.writeString(HTTPDate.now)
        bytes.writeString("\r\nServer: drover\r\n\r\n")
        bytes.writeBytes(answer.body)
        if let candidate = candidate.take() {
            metrics.record(
                RequestMetrics.Route(method: "POST", path: answer.route, status: status.code), since: candidate.start)
        }
        // Whole already: past the encoder.
        guard let encoder = try? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self) else {
            return context.close(promise: nil)
        }
        encoder.writeAndFlush(NIOAny(bytes), promise: nil)
    }

    /// What the gate would pass, on a connection that stays open, with a body that is here at once.
    private func isUsual(_ head: HTTPRequestHead) -> Bool {
        guard head.method == .POST, head.version == .http1_1 else { return false }
        var (isHost, isJSON, length) = (false, false, 0)
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4 where Self.isSame(name, "host"):
                guard !isHost, isAllowed(value) else { return false }
                isHost = true
            case 12 where Self.isSame(name, "content-type"):
                guard !isJSON, value == "application/json" else { return false }
                isJSON = true
            case 14 where Self.isSame(name, "content-length"):
                guard let number = plainDecimal(value), number <= Self.maximumBodyBytes else { return false }
                length += 1
            case 6 where Self.isSame(name, "origin") || Self.isSame(name, "expect"): return false
            case 7 where Self.isSame(name, "upgrade"): return false
            case 10 where Self.isSame(name, "connection"): return false
            case 17 where Self.isSame(name, "transfer-encoding"): return false
            default: break
            }
        }
        return isHost && isJSON && length == 1
    }

    private func isAllowed(_ authority: String) -> Bool {
        if authority == host { return true }
        guard settings.allows(host: GateMiddleware.host(authority)) else { return false }
        host = authority
        return true
    }

    private static func isSame(_ name: String, _ lowercased: String) -> Bool {
        name.utf8.elementsEqual(lowercased.utf8) { $0 | 0x20 == $1 || $0 == $1 }
    }
}

/// The date of answers (RFC 9110, section 5.6.7), written once a second.
enum HTTPDate {
    private static let last = Mutex<(second: UInt64, text: String)>((.max, ""))

    static var now: String {
        let second = NIODeadline.now().uptimeNanoseconds / 1_000_000_000
        return last.withLock { last in
            if last.second != second { last = (second, text(of: Int(Date.now.timeIntervalSince1970))) }
            return last.text
        }
    }

    static func text(of seconds: Int) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents(
            [.year, .month, .day, .weekday, .hour, .minute, .second],
            from: Date(timeIntervalSince1970: Double(seconds)))
        func two(_ number: Int?) -> String { (number ?? 0) < 10 ? "0\(number ?? 0)" : "\(number ?? 0)" }
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(days[(parts.weekday ?? 1) - 1]), \(two(parts.day)) \(months[(parts.month ?? 1) - 1]) "
            + "\(parts.year ?? 0) \(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
    }
}
