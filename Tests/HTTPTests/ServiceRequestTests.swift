import HTTP
import Testing

@Suite struct `A request to a service` {
    private func read(_ head: String) throws(ServiceRequestRefusal) -> ServiceRequest {
        let bytes = Array((head + "\r\n\r\n").utf8)
        return try ServiceRequest(bytes, end: bytes.count, bodyBytesMax: 1000)
    }

    struct Target: CustomTestStringConvertible, Sendable {
        let text: String
        let path: String
        let query: String
        var testDescription: String { text }
    }

    @Test(arguments: [
        Target(text: "/v1/config?warehouse=a?b", path: "/v1/config", query: "warehouse=a?b"),
        Target(text: "/v1/config?", path: "/v1/config", query: ""),
        Target(text: "http://a.example/v1/config?x=1", path: "/v1/config", query: "x=1"),
        Target(text: "HTTPS://a.example:9401/v1/a%2Fb", path: "/v1/a%2Fb", query: ""),
        Target(text: "http://a.example", path: "/", query: ""),
        Target(text: "http://a.example?x=1", path: "/", query: "x=1"),
    ])
    func `has its target in the origin form or the absolute one`(_ target: Target) throws {
        let request = try read("GET \(target.text) HTTP/1.1\r\nHost: b.example")
        #expect(request.method == "GET")
        #expect(request.path == target.path)
        #expect(request.query == target.query)
        #expect(request.keepsAlive)
    }

    @Test(arguments: ["OPTIONS *", "GET *", "GET ftp://a.example/", "CONNECT a.example:1", "GET a"])
    func `has no other target`(_ start: String) {
        let refusal = #expect(throws: ServiceRequestRefusal.self) {
            try read("\(start) HTTP/1.1\r\nHost: b.example")
        }
        #expect(refusal?.status == .badRequest)
    }
}
