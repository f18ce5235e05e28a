import Foundation

/// The repository that the tests were built from, whose `Regions/` and `Policies/` are shipped.
package enum ShippedProject {
    /// The repository's folder.
    package static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    private static let folders = ["Regions", "Policies"]

    /// Copies both folders into `project`, which is made where it is missing.
    package static func copy(to project: String) throws {
        try FileManager.default.createDirectory(
            atPath: project, withIntermediateDirectories: true)
        for folder in folders {
            try FileManager.default.copyItem(
                atPath: root + "/" + folder, toPath: project + "/" + folder)
        }
    }

    /// The shipped files by path, with or without the cases of the policies.
    package static func texts(cases: Bool) throws -> [String: String] {
        var texts: [String: String] = [:]
        for folder in folders + (cases ? ["Policies/cases"] : []) {
            let path = root + "/" + folder
            for name in try FileManager.default.contentsOfDirectory(atPath: path)
            where name.hasSuffix(".yaml") {
                texts["\(folder)/\(name)"] = try String(
                    contentsOfFile: path + "/" + name, encoding: .utf8)
            }
        }
        return texts
    }
}
