package import Domain
import Foundation
package import HTTPTypes
package import Hummingbird
package import Wire

extension Response {
    /// A JSON answer that says at which sequence it is true.
    package static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, at sequence: LogSequence
    ) throws -> Response {
        bytes(try WireJSON.encode(value), type: "application/json", status: status, at: sequence)
    }

    package static func bytes(
        _ bytes: some Collection<UInt8> & Sendable, type: String, status: HTTPResponse.Status = .ok,
        at sequence: LogSequence
    ) -> Response {
        var response = Response(status: status, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        response.headers[.contentType] = type
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[ServingHeader.sequence] = sequence.description
        return response
    }

    /// 204, when there is nothing to say but when.
    package static func nothing(at sequence: LogSequence) -> Response {
        var response = Response(status: .noContent)
        response.headers[ServingHeader.sequence] = sequence.description
        return response
    }

    /// A problem document. `head` is named where the problem has no sequence of its own.
    package static func problem(_ problem: Problem, head: LogSequence) -> Response {
        var problem = problem
        problem.sequence = problem.sequence ?? head
        let body = (try? WireJSON.encode(problem)) ?? Data()
        var response = bytes(
            body, type: "application/problem+json", status: HTTPResponse.Status(code: problem.status),
            at: problem.sequence ?? head)
        if problem.status == 503 { response.headers[.retryAfter] = "1" }
        return response
    }
}
