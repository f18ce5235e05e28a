// The lake: journal to Parquet to Iceberg snapshot, exactly once; rewriting, expiry and physical deletion of files.
