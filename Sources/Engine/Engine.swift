/// The analytical engine: loads DuckDB, speaks to it through the ADBC C interface, and moves Arrow data in and out.
///
/// The only importer of `CADBC`. It knows no table of the product and decides nothing about who may read what. Every
/// handle keeps its parent alive, so releasing happens in the order the library asks for. Start at
/// ``EngineConnection``; results come as ``ResultStream``, bulk input goes in as ``IngestTable``.
package enum Engine {}
