import CordonLake
import CordonModel
import Testing

@testable import CordonCLI

@Suite struct `Reach graph` {
    @Test func `every place has a writer, and every column a place`() {
        #expect(Set(ReachGraph.columns.keys) == Set(RestingPlace.allCases))
        #expect(ReachGraph.columns[.dataFiles] == HitBatch.columns)
        #expect(ReachGraph.columns[.exports] == HitBatch.columns)
    }

    @Test func `no identifier reaches bounds, counts, certificates or the audit log`() {
        for place in [RestingPlace.manifests, .ledger, .audit, .certificates] {
            let columns = ReachGraph.columns[place] ?? []
            #expect(
                columns.isDisjoint(with: ["user", "visitor", "ip_prefix", "params", "page_path"]),
                "\(place)")
        }
    }
}
