package import CordonModel
import Engine

extension LakeWriter {
    /// How many of the rows that `filter` matches have a sealed value.
    package func sealedRows(of filter: SubjectFilter) throws -> Int64 {
        guard !filter.isEmpty else { return 0 }
        let paths = try candidates(filter).files.map(\.path)
        try engine().prepare(filter)
        let sealed = SealableColumn.allCases.map(\.sealedCondition).joined(separator: " OR ")
        return try engine().count(where: "\(filter.condition) AND (\(sealed))", in: paths)
            .values.reduce(0, +)
    }
}

extension SealableColumn {
    /// SQL that is true for rows with a sealed value in the column, and never null.
    fileprivate var sealedCondition: String {
        let prefix = EngineText.literal(Self.sealedPrefix)
        switch self {
        case .parameters:
            return
                "coalesce(len(list_filter(map_values(\"\(rawValue)\"), lambda value: starts_with(value, \(prefix)))) > 0, false)"
        case .pageHost, .pagePath, .referrerHost, .browser, .os, .device, .language:
            return "coalesce(starts_with(\"\(rawValue)\", \(prefix)), false)"
        }
    }
}
