/// Apache Iceberg tables of format version 2: metadata, manifest lists and manifests as values.
///
/// Encodes and decodes the files and derives the next table metadata; it opens none of them and does not know the
/// product. What the specification marks as required for version 2 is always written, and so is what readers were
/// seen to need besides: key-value metadata of manifests, field ids in Avro, sequence numbers on carried-over
/// entries. Field ids named here are those of the specification, section "Manifests". Start at ``TableMetadata``
/// and ``Manifest``.
package enum Iceberg {
    package static let formatVersion = 2
}

/// Why bytes are not the Iceberg file that was expected.
package struct IcebergError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case notMetadata, unsupportedVersion, notAManifest, notAManifestList, unknownTransform
    }
    package let code: Code
    /// What was expected and what was found; holds no values of rows.
    package let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { detail }
}
