// The analytical engine: loads DuckDB, speaks to it through the ADBC C interface, and moves Arrow data in and out.
//
// The only importer of `CADBC`. It knows no table of the product.
