/// What one query may use and give back.
package struct QueryLimits: Equatable, Sendable, Codable {
    /// Memory of the engine; the process's address space is held to one and a half of it and ``overheadBytes``.
    package var memoryBytes = 1 << 30
    /// What the engine spills to disk, and the largest file of a Parquet result.
    package var scratchBytes = 4 << 30
    package var threads = 2
    package var seconds = 60
    package var rows = 1_000_000
    /// Bytes of the result as it is handed over.
    package var resultBytes = 256 << 20

    /// Address space for libraries, thread stacks and allocator arenas, measured at 0.7 GiB with two threads.
    package static let overheadBytes = 2 << 30

    package init() {}
}
