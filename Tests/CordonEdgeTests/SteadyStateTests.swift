import AllocationCount
import Bytes
import CordonModel
import TestSupport
import Testing

@testable import CordonEdge

/// What a hit costs once everything has its size.
@Suite struct `The steady state` {
    @Test func `a hit allocates nothing from its bytes to its record`() throws {
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        let path = HitPath(
            fixture.collector.context, collector: fixture.region("eu-central").collector)
        let requests = Self.requests
        for request in requests { #expect(path.take(request.span) > 0) }
        let before = allocation_count()
        var bytes = 0
        for hit in 0..<2000 {
            let request = requests[hit % requests.count]
            bytes += path.take(request.span)
        }
        let allocations = allocation_count() - before
        #expect(bytes > 0)
        #expect(allocations == 0, "\(allocations) allocations in 2000 hits")
    }

    @Test func `allocations are counted`() {
        let before = allocation_count()
        let block = UnsafeMutablePointer<UInt8>.allocate(capacity: 100)
        block.deallocate()
        #expect(allocation_count() > before)
    }

    /// Hits of every kind: all regions, both families, each consent, ids, pages, referrers, parameters.
    private static let requests: [[UInt8]] = {
        var requests: [[UInt8]] = []
        let addresses = [
            EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian, EdgeFixture.german6,
            "198.51.100.7",
        ]
        let consents = ["", "&consent=granted", "&consent=denied", "&consent=%zz"]
        for (index, address) in addresses.enumerated() {
            for (number, consent) in consents.enumerated() {
                let target =
                    "/pixel.gif?site=Shop\(index).Example&event=buy&userid=u%40\(number)\(consent)"
                    + "&url=https%3A%2F%2Fa.example%2Fp%C3%BC%2F123456789%3Futm_source%3Dx"
                    + "&ref=https%3A%2F%2Fb.example%2F&value=9%2C50%20%E2%82%AC%FF&sku=a"
                let headers = [
                    "X-Forwarded-For: 10.0.0.1, \(address)", "Accept-Language: de-CH, en;q=0.5",
                    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/13\(number).0",
                    "Cookie: a=b; consent=granted", "Referer: https://c.example/x",
                ]
                requests.append(Array(EdgeClient.request(target, headers).utf8))
            }
        }
        return requests
    }()
}
