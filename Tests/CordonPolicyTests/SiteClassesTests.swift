import Testing

@testable import CordonPolicy

@Suite struct `Site classes` {
    @Test(arguments: [1, 10, 100, 1000])
    func `a host name is found in a few looks, however many sites there are`(count: Int) throws {
        let patterns = try (0..<count).map { number in
            try #require(
                SitePattern(number % 3 == 0 ? "*.group\(number).example" : "shop\(number).example"))
        }
        let classes = SiteClasses(patterns)
        // A search ends at the first empty slot, so the longest run of full ones bounds it. At half full a table of this
        // kind has runs of about the logarithm of its size.
        var longest = 0
        var run = 0
        for slot in classes.slots + classes.slots {
            run = slot == 0 ? 0 : run + 1
            longest = max(longest, run)
        }
        #expect(longest <= 32)
        #expect(classes.slots.count >= 2 * count)
        for (index, pattern) in patterns.enumerated() {
            let host = Array((pattern.isWildcard ? "WWW." : "").utf8) + Array(pattern.suffix.utf8)
            #expect(classes.index(of: host.span, 0..<host.count) == index + 1)
        }
        let other = Array("elsewhere.example.org".utf8)
        #expect(classes.index(of: other.span, 0..<other.count) == 0)
    }
}
