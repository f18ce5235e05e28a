import Testing

@testable import CordonModel

@Suite struct `Columns of a batch` {
    @Test func `are those of the record and the two that a batch shares`() {
        let properties = Mirror(reflecting: HitRecord()).children.compactMap(\.label)
        #expect(HitBatch.columns.count == properties.count + 2)
        let other = ["hitID": "hit_id", "timestamp": "ts", "isBot": "bot", "parameters": "params"]
        for property in properties {
            let column =
                other[property]
                ?? property.map { $0.isUppercase ? "_" + $0.lowercased() : String($0) }.joined()
            #expect(HitBatch.columns.contains(column), "\(property)")
        }
    }
}
