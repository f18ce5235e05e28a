import Bytes
import Foundation
import Testing
import WorldTraffic

@Suite struct `World traffic` {
    private let pool = AddressPool([
        (.init(first: IPAddress("203.0.113.0")!, last: IPAddress("203.0.113.255")!), 1),
        (.init(first: IPAddress("2001:db8::")!, last: IPAddress("2001:db8::ffff")!), 2),
    ])

    @Test func `the same seed makes the same hits`() {
        var one = TrafficGenerator(pool: pool, seed: 7)
        var two = TrafficGenerator(pool: pool, seed: 7)
        for _ in 0..<100 { #expect(one.next().request == two.next().request) }
    }

    @Test func `addresses stay inside the ranges and come from every place`() {
        var generator = TrafficGenerator(pool: pool, seed: 1)
        var families: Set<Bool> = []
        for _ in 0..<500 {
            let address = generator.next().address
            families.insert(address.isIPv6)
            #expect(
                IPPrefix("203.0.113.0/24")!.contains(address)
                    || IPPrefix("2001:db8::/112")!.contains(address))
        }
        #expect(families == [true, false])
        #expect(pool.placeCount == 2)
    }

    @Test func `every hit is one whole request that carries its number`() {
        var generator = TrafficGenerator(pool: pool, seed: 3, firstNumber: 40)
        for number in 40..<140 {
            let hit = generator.next()
            let text = String(decoding: hit.request, as: UTF8.self)
            #expect(hit.number == number)
            #expect(text.contains("&value=\(number)"))
            #expect(text.hasSuffix("\r\n\r\n"))
            #expect(text.components(separatedBy: "\r\n\r\n").count == 2)
        }
    }
}
