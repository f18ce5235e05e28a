package import Bytes
import LinuxIO

/// What a lookup reads one after the other, for ``GeoTable/fetch(_:for:)``; each step needs what the one before has brought.
package enum LookupStep: Sendable {
    /// Which ranges a first part of the address has.
    case index
    /// Which of them a second part has, where there are many; the ranges, where there are few.
    case deeperIndex
    /// The ranges.
    case ranges
}

/// A compiled table, mapped from its file: which place each address of both families has.
///
/// Opening checks the digest and then every index, so a lookup needs no check. Lookups allocate nothing,
/// take no lock and may run on any thread. The mapping is of memory that holds the file's content, so an open table stays
/// what it is whatever happens to the file: a careless `cp` over it neither changes answers nor ends the process.
package final class GeoTable: Sendable {
    /// The file it was opened from.
    package let path: String
    /// What identifies the content: date of the newest source and first digits of the digest. Equal sources
    /// give equal builds.
    package let build: String
    /// SHA-256 of the content, hexadecimal.
    package let digest: String
    /// The places by index; index 0 is ``GeoPlace/unknown``. A place whose country is nil is unknown too.
    package let places: [GeoPlace]
    /// What it was compiled from.
    package let sources: [GeoSource]
    package var byteCount: Int { arrays.byteCount }

    let arrays: GeoArrays

    /// Maps and checks the table at `path`.
    package init(mapping path: String) throws(GeoTableError) {
        arrays = try GeoArrays(file: MappedFile.geo(path, copying: true), path: path)
        self.path = path
        digest = Bytes.hex(arrays.digest)
        places = try arrays.readPlaces(path: path)
        sources = try arrays.readSources(path: path)
        let newest = sources.compactMap(\.date).max() ?? "undated"
        build = "\(newest)-\(digest.prefix(12))"
    }

    /// Index into ``places`` of the place of `address`; 0 where it is unknown.
    ///
    /// IPv4-mapped, NAT64 and 6to4 addresses have the place of the IPv4 address inside.
    @inline(__always)
    package func placeIndex(of address: IPAddress) -> Int { arrays.place(of: address) }

    /// Asks the processor for the memory that one step of a later ``placeIndex(of:)`` reads, and waits for nothing. Under load
    /// the table lies far from it, and a lookup waits for each step in turn; with other work between the steps it need not.
    @inline(__always)
    package func fetch(_ step: LookupStep, for address: IPAddress) {
        arrays.fetch(step, for: address)
    }

    /// The place of `address`.
    package func place(of address: IPAddress) -> GeoPlace { places[placeIndex(of: address)] }
}
