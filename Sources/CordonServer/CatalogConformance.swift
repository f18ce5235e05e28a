import CordonCatalog
import CordonLake

// The catalog's own operations are those that the lake asks for.
extension Catalog: TableCatalog {}
