import Engine

/// Writes the rows of a query with the embedded engine.
enum ParquetFile {
    static func write(_ query: String, to path: String) throws {
        try EngineConnection().execute("COPY (\(query)) TO '\(path)' (FORMAT parquet)")
    }
}
