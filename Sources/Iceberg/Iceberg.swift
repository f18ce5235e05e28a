// Apache Iceberg v2 metadata, manifest lists and manifests as values: encode, decode, and derive the next snapshot.
