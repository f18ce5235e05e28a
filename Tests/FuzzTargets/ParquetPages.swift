import Parquet

/// A column chunk that is not packed, behind four bytes that say what it is taken for: it is refused, or written anew without some
/// rows so that a reader which shares no code with the writer finds in it what it was to hold.
func parquetPages(_ input: [UInt8]) -> String? { ChunkExamination.fault(in: input) }
