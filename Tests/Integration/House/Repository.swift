import Foundation
import TestSupport

/// The checked-out project that the tests were built from.
enum Repository {
    static let root = URL(fileURLWithPath: ShippedProject.root)

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// Paths of all files below `folder`, relative to the root, sorted.
    static func files(_ folder: String) -> [String] {
        let paths = try? FileManager.default.subpathsOfDirectory(
            atPath: root.appendingPathComponent(folder).path)
        return (paths ?? []).map { folder + "/" + $0 }.filter { path in
            var isFolder: ObjCBool = false
            let full = root.appendingPathComponent(path).path
            return FileManager.default.fileExists(atPath: full, isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
    }

    static func swiftFiles(_ folder: String) -> [String] {
        files(folder).filter { $0.hasSuffix(".swift") }
    }

    /// The modules that a Swift file imports.
    static func imports(of path: String) throws -> [String] {
        let pattern =
            #/^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|func|protocol|var|let|typealias)\s+)?(\w+)(?:\.\w+)*[ \t]*(?:\/\/.*)?$/#
            .anchorsMatchLineEndings()
        return try text(path).matches(of: pattern).map { String($0.1) }
    }
}
