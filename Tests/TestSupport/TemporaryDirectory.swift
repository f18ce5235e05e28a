import Foundation

/// A folder of one test's own, removed when the last reference goes; or, where `CORDON_TEST_REMAINS` names a folder, moved
/// there, to be searched for raw values when all tests have run.
package final class TemporaryDirectory: Sendable {
    package let path: String
    private let holdsRawValues: Bool

    /// Where folders are moved to.
    package static let remains: String? = ProcessInfo.processInfo.environment["CORDON_TEST_REMAINS"]

    /// - Parameter holdsRawValues: the test puts raw values there itself, so that the folder says nothing of the program.
    package init(holdsRawValues: Bool = false) throws {
        self.holdsRawValues = holdsRawValues
        let base = FileManager.default.temporaryDirectory.appendingPathComponent(
            "cordon-test-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
        path = base.path
    }

    deinit {
        if let remains = Self.remains, !holdsRawValues {
            let name = (path as NSString).lastPathComponent
            // A folder that cannot be moved stays where it is and would not be searched, so that is a failure.
            do {
                try FileManager.default.moveItem(atPath: path, toPath: remains + "/" + name)
            } catch {
                preconditionFailure("a test's folder cannot be moved to CORDON_TEST_REMAINS")
            }
            return
        }
        // A folder left behind harms no test; the system's temporary folder is cleaned by others.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of `name` in the folder.
    package func file(_ name: String) -> String { path + "/" + name }
}
