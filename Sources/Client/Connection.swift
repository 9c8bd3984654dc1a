package import AsyncHTTPClient
package import Domain
package import Foundation
package import NIOCore
import NIOHTTP1
package import Wire

/// One call, whole enough to be sent again: the same bytes, under the same idempotency key.
package struct Call: Sendable {
    package var method: HTTPMethodName
    /// With its leading slash; parts that are not plain names must be percent-encoded already.
    package var path: String
    package var query: [(String, String)] = []
    package var headers: [(String, String)] = []
    package var body: Data?
    /// How long the server may hold the answer back.
    package var wait: WireDuration?

    package enum HTTPMethodName: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
    }

    package init(_ method: HTTPMethodName, _ path: String) { (self.method, self.path) = (method, path) }

    /// The path with its query, percent-encoded.
    var target: String {
        let parts = query.map { "\($0)=\(Self.encode($1))" }
        return parts.isEmpty ? path : "\(path)?\(parts.joined(separator: "&"))"
    }

    /// RFC 3986's unreserved characters stay as they are.
    static func encode(_ text: String) -> String {
        var plain = CharacterSet.alphanumerics.intersection(
            CharacterSet(charactersIn: Unicode.Scalar(0)...Unicode.Scalar(127)))
        plain.insert(charactersIn: "-._~")
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
    }
}

/// A server that is called under one actor's name.
package struct Connection: Sendable {
    /// As in `http://127.0.0.1:7070`, without a trailing slash.
    package let endpoint: String
    package let actor: EventActor
    package let settings: ClientSettings

    package init(endpoint: String, actor: EventActor, settings: ClientSettings = ClientSettings()) {
        var endpoint = endpoint
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        (self.endpoint, self.actor, self.settings) = (endpoint, actor, settings)
    }

    /// A key for one logical change, however often it is sent.
    package static func newKey() -> String { UUID().uuidString.lowercased() }

    // MARK: JSON

    package func get<Answer: Decodable>(
        _ path: String, query: [(String, String)] = [], wait: WireDuration? = nil
    ) async throws(ClientFailure) -> Answer {
        try decode(try await data(getCall(path, query: query, wait: wait)))
    }

    /// As `get`; nil where the server says `not-found`.
    package func getIfThere<Answer: Decodable>(
        _ path: String, query: [(String, String)] = [], wait: WireDuration? = nil
    ) async throws(ClientFailure) -> Answer? {
        do throws(ClientFailure) {
            return try await get(path, query: query, wait: wait)
        } catch {
            if error.code == TransportCode.notFound.rawValue { return nil }
            throw error
        }
    }

    package func post<Answer: Decodable>(
        _ path: String, _ body: some WireRequest, key: String? = nil,
        headers: [(String, String)] = [], wait: WireDuration? = nil
    ) async throws(ClientFailure) -> Answer {
        try decode(try await data(postCall(path, body, key: key, headers: headers, wait: wait)))
    }

    func getCall(_ path: String, query: [(String, String)], wait: WireDuration?) -> Call {
        var call = Call(.get, path)
        call.query = query + (wait.map { [("wait", $0.description)] } ?? [])
        call.wait = wait
        return call
    }

    func postCall(
        _ path: String, _ body: some WireRequest, key: String?, headers: [(String, String)], wait: WireDuration?
    ) throws(ClientFailure) -> Call {
        var call = Call(.post, path)
        do {
            call.body = try WireJSON.encode(body)
        } catch {
            throw .badAnswer("the request cannot be written as JSON: \(error)")
        }
        call.headers =
            [("Content-Type", "application/json"), (WireHeader.idempotencyKey, key ?? Self.newKey())] + headers
        call.wait = wait
        return call
    }

    private func decode<Answer: Decodable>(_ answer: (status: UInt, bytes: Data)) throws(ClientFailure) -> Answer {
        do throws(Problem) {
            return try WireJSON.decode(Answer.self, from: answer.bytes)
        } catch {
            throw .badAnswer(
                "\(endpoint) answered something that this version does not understand (\(error.detail)): "
                    + "are both of the same version?")
        }
    }

    // MARK: Bytes

    /// A whole answer in memory, after retries; a problem document is thrown.
    package func data(_ call: Call) async throws(ClientFailure) -> (status: UInt, bytes: Data) {
        try await retrying { () throws(ClientFailure) in
            let response = try await send(call, body: call.body.map { .bytes(ByteBuffer(bytes: $0)) })
            let bytes = try await collect(response)
            guard (200..<300).contains(response.status.code) else {
                throw problem(response, bytes)
            }
            return (response.status.code, bytes)
        }
    }

    /// An answer whose body is read as it comes. Retried until it begins; a broken body is the reader's to continue.
    package func stream(_ call: Call) async throws(ClientFailure) -> HTTPClientResponse {
        try await retrying { () throws(ClientFailure) in
            let response = try await send(call, body: call.body.map { .bytes(ByteBuffer(bytes: $0)) })
            guard (200..<300).contains(response.status.code) else {
                throw problem(response, try await collect(response))
            }
            return response
        }
    }

    /// Sends a body of a known length, made anew for every try.
    package func upload(
        _ call: Call, bytes: Int64, chunks: @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable
    ) async throws(ClientFailure) -> Data {
        try await retrying { () throws(ClientFailure) in
            let body = HTTPClientRequest.Body.stream(OpenedChunks(base: chunks()), length: .known(bytes))
            let response = try await send(call, body: body)
            let answer = try await collect(response)
            guard (200..<300).contains(response.status.code) else { throw problem(response, answer) }
            return answer
        }
    }

    private func send(
        _ call: Call, body: HTTPClientRequest.Body?
    ) async throws(ClientFailure) -> HTTPClientResponse {
        var request = HTTPClientRequest(url: endpoint + call.target)
        request.method = HTTPMethod(rawValue: call.method.rawValue)
        request.headers.add(name: WireHeader.actor, value: actor.description)
        for (name, value) in call.headers { request.headers.add(name: name, value: value) }
        request.body = body
        let milliseconds = settings.requestTimeoutMilliseconds + (call.wait?.milliseconds ?? 0)
        do {
            return try await SharedHTTPClient.client.execute(request, timeout: .milliseconds(milliseconds))
        } catch {
            throw failure(error)
        }
    }

    private func collect(_ response: HTTPClientResponse) async throws(ClientFailure) -> Data {
        do {
            let buffer = try await response.body.collect(upTo: settings.maximumAnswerBytes)
            return Data(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw .badAnswer("\(endpoint) answered more than \(settings.maximumAnswerBytes) bytes")
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: any Error) -> ClientFailure {
        if error is CancellationError || Task.isCancelled { return .cancelled }
        return .unreachable("\(endpoint) does not answer (\(error)): is it running there?")
    }

    private func problem(_ response: HTTPClientResponse, _ bytes: Data) -> ClientFailure {
        if let problem = try? WireJSON.decode(Problem.self, from: bytes) { return .problem(problem) }
        let status = response.status
        let isPassing = (502...504).contains(status.code)
        let text = "\(endpoint) answered \(status.code) \(status.reasonPhrase) without saying why"
        return isPassing ? .unreachable(text) : .badAnswer(text)
    }

    // MARK: Retries

    /// Every call may be repeated: those that change something carry a key or a counter.
    private func retrying<T: Sendable>(
        _ body: () async throws(ClientFailure) -> T
    ) async throws(ClientFailure) -> T {
        for retry in 0..<settings.maximumRetries {
            do throws(ClientFailure) {
                return try await body()
            } catch {
                guard error.mayPass else { throw error }
                try await pause(retry: retry)
            }
        }
        return try await body()
    }

    func pause(retry: Int) async throws(ClientFailure) {
        let milliseconds = settings.backoffMilliseconds(retry: retry, random: .random(in: 0...1))
        do {
            try await Task.sleep(for: .milliseconds(milliseconds))
        } catch {
            throw .cancelled
        }
    }
}

extension ClientFailure {
    /// Whether the same call may succeed a little later.
    package var mayPass: Bool {
        switch self {
        case .unreachable: true
        case .problem(let problem): (502...504).contains(problem.status)
        case .badAnswer, .cancelled: false
        }
    }
}

/// Gives an existential sequence a type.
private struct OpenedChunks: AsyncSequence, Sendable {
    let base: any AsyncSequence<ByteBuffer, any Error> & Sendable

    struct AsyncIterator: AsyncIteratorProtocol {
        var base: any AsyncIteratorProtocol<ByteBuffer, any Error>

        mutating func next() async throws -> ByteBuffer? { try await base.next(isolation: nil) }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator()) }
}
