/// Hits that have left the table of one region and are on their way to the journal of another.
///
/// It stands in the catalog of the region that they left from the very commit that took them out, until the other
/// journal has them.
package struct OutgoingBatch: Equatable, Sendable {
    /// 32 random hexadecimal digits; a journal takes a batch of one name once.
    package let id: String
    /// Name of the region that they are for; empty in a mark, which holds none.
    package let destination: String
    package let hits: Int
    /// A ``HitBatch`` that holds nothing which only the region they left could make; empty in a mark.
    package let bytes: [UInt8]

    package init(id: String, destination: String, hits: Int, bytes: [UInt8]) {
        self.id = id
        self.destination = destination
        self.hits = hits
        self.bytes = bytes
    }
}
