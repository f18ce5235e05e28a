/// A column whose values a region may seal: encrypt under a key of the person's, so that nobody reads them once that key
/// is destroyed.
///
/// Columns by which hits are found, counted, routed, partitioned or ended are none of these: nothing could be done with
/// a hit any more of which they are unreadable.
package enum SealableColumn: String, CaseIterable, Sendable {
    case pageHost = "page_host"
    case pagePath = "page_path"
    case referrerHost = "referrer_host"
    case browser, os, device, language
    /// Each value is sealed by itself; the keys stay.
    case parameters = "params"

    /// What every sealed value begins with: the form of what follows (`Docs/formats/lake.md`).
    package static let sealedPrefix = "sealed:1:"

    /// Whether `text` has the form of a sealed value.
    package static func isSealed(_ text: String) -> Bool { text.hasPrefix(sealedPrefix) }
}

extension HitRecord {
    /// Puts what `change` makes of each value of a column in its place; a value that becomes nil goes, and so does its
    /// parameter.
    ///
    /// - Parameter change: called with the parameter's key, or nil for any other column, and the value.
    package mutating func changeValues(
        of column: SealableColumn, _ change: (_ key: String?, _ value: String) throws -> String?
    ) rethrows {
        switch column {
        case .pageHost: pageHost = try pageHost.flatMap { try change(nil, $0) }
        case .pagePath: pagePath = try pagePath.flatMap { try change(nil, $0) }
        case .referrerHost: referrerHost = try referrerHost.flatMap { try change(nil, $0) }
        case .browser: browser = try browser.flatMap { try change(nil, $0) }
        case .os: os = try os.flatMap { try change(nil, $0) }
        case .device: device = try device.flatMap { try change(nil, $0) }
        case .language: language = try language.flatMap { try change(nil, $0) }
        case .parameters:
            parameters = try parameters.compactMap { parameter in
                try change(parameter.key, parameter.value).map {
                    .init(key: parameter.key, value: $0)
                }
            }
        }
    }
}
