import HTTPTypes
package import Hummingbird

/// The page at `/`: what runs, what was built, and the Deploy button; over the same API as everybody else.
package enum Console {
    /// Adds the page to a router whose gate stands already.
    package static func install(on router: Router<some RequestContext>) {
        router.get("/") { _, _ in answer(page, type: "text/html; charset=utf-8") }
        router.get("/console.css") { _, _ in answer(style, type: "text/css; charset=utf-8") }
        router.get("/console.js") { _, _ in answer(script, type: "text/javascript; charset=utf-8") }
    }

    private static func answer(_ text: String, type: String) -> Response {
        var response = Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        response.headers[.contentType] = type
        response.headers[.cacheControl] = "no-cache"
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; frame-ancestors 'none'"
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }
}
