import Bytes
import GeoTables

// What the `geo` commands share.

/// Opens a geo table and reports what is wrong with it as the world's failure.
func openGeoTable(_ path: String) throws(CommandFailure) -> GeoTable {
    do throws(GeoTableError) {
        return try GeoTable(mapping: path)
    } catch {
        throw CommandFailure(text: error.description)
    }
}

/// One source of a table, as `--json` shows it.
struct GeoSourceReport: Encodable {
    let name: String
    let format: String
    let date: String?
    let note: String
    let sha256: String
    let bytes: Int
    let ranges: Int

    init(_ source: GeoSource) {
        name = source.name
        format = source.format.rawValue
        date = source.date
        note = source.note
        sha256 = source.digest
        bytes = source.byteCount
        ranges = source.rangeCount
    }
}

/// A table as `geo info` and `geo build` show it.
struct GeoTableReport: Encodable {
    struct Family: Encodable {
        let family: String
        let ranges: Int
        /// Addresses with a country, a decimal number.
        let located: String
        /// Their share of the addresses that could have one.
        let share: Double
    }

    let table: String
    let build: String
    let sha256: String
    let bytes: Int
    let countries: Int
    let subdivisions: Int
    let families: [Family]
    let sources: [GeoSourceReport]

    init(_ table: GeoTable) {
        self.table = table.path
        build = table.build
        sha256 = table.digest
        bytes = table.byteCount
        countries = Set(table.places.compactMap(\.country)).count
        subdivisions = Set(table.places.compactMap(\.subdivision)).count
        families = AddressFamily.allCases.map { family in
            let coverage = table.coverage(of: family)
            return Family(
                family: family.rawValue, ranges: table.rangeCount(in: family),
                located: "\(coverage.located)", share: coverage.share)
        }
        sources = table.sources.map(GeoSourceReport.init)
    }

    func print(to console: Console) {
        console.print("table         \(table)")
        console.print("build         \(build)")
        console.print("size          \(bytes) bytes")
        console.print("countries     \(countries)")
        console.print("subdivisions  \(subdivisions)")
        console.print()
        console.table(
            ["family", "ranges", "located %"],
            families.map { family in
                let percent = (family.share * 10_000).rounded() / 100
                return [family.family, "\(family.ranges)", "\(percent)"]
            })
        console.print()
        console.table(
            ["source", "format", "date", "ranges", "note"],
            sources.map { [$0.name, $0.format, $0.date ?? "", "\($0.ranges)", $0.note] })
    }
}
