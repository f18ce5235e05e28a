// Avro object container files: the subset of the format that Iceberg manifests need, written and read.
