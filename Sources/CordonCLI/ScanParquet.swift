import CordonSubjects
import Engine

/// Reads every column of a Parquet file as text, because its pages are compressed.
struct ParquetContent: DecodedContent {
    let name = "parquet"

    func recognises(_ path: String) -> Bool { path.hasSuffix(".parquet") }

    func read(_ path: String, _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void) -> String? {
        do throws(EngineError) {
            let connection = try EngineConnection()
            let rows = try connection.query(
                "SELECT COLUMNS(*)::VARCHAR FROM read_parquet(\(EngineText.path(path)))")
            var first = 0
            while let batch = try rows.next() {
                for row in 0..<batch.rowCount {
                    for column in batch.columns where !column.isNull(at: row) {
                        consume(first + row, column.bytes(at: row))
                    }
                }
                first += batch.rowCount
            }
            return nil
        } catch {
            return "\(error)"
        }
    }
}
