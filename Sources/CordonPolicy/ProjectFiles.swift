internal import CordonModel
internal import LinuxIO
internal import YAML

/// The configuration files of a project by path relative to its folder, read into memory.
package struct ProjectFiles: Sendable {
    package var contents: [String: [UInt8]]

    /// Takes texts as they are, for tests and previews.
    package init(_ texts: [String: String]) { contents = texts.mapValues { Array($0.utf8) } }

    /// Reads what lies under `Regions/` and `Policies/`. What cannot be read is noted and left out.
    ///
    /// - Parameter other: whose `Regions/` are read where `layout` has none.
    init(
        reading layout: ProjectLayout, otherwise other: ProjectLayout? = nil, problems: ProblemList
    ) {
        contents = [:]
        for folder in ["Regions", "Policies", "Policies/cases"] {
            var root = layout.root
            // A folder that cannot be looked at is reported when it is read.
            if let other, folder == "Regions", (try? File.exists(root + "/Regions")) == false {
                root = other.root
            }
            let names: [String]
            do throws(LinuxError) {
                names = try Directory.list(root + "/" + folder)
            } catch {
                // A project without cases is a project all the same.
                if folder != "Policies/cases" {
                    problems.error(
                        FilePosition(file: folder, line: 1, column: 1),
                        error.isMissing ? "the folder is missing" : error.description)
                }
                continue
            }
            for name in names {
                let path = folder + "/" + name
                do throws(LinuxError) {
                    if try File.metadata(root + "/" + path)?.isDirectory == true {
                        // What a version control or an editor keeps beside is nobody's policy.
                        if path == "Policies/cases" || name.hasPrefix(".") { continue }
                        problems.error(
                            FilePosition(file: path, line: 1, column: 1),
                            "the folder is not read: the files stand in `\(folder)/` itself")
                    } else if Self.isYAML(name) {
                        contents[path] = try File.read(root + "/" + path)
                    }
                } catch {
                    problems.error(
                        FilePosition(file: path, line: 1, column: 1),
                        error.description)
                }
            }
        }
    }

    /// Whether the name ends as that of a YAML file does, in any of the spellings that are in use.
    private static func isYAML(_ name: String) -> Bool {
        [".yaml", ".yml"].contains { name.lowercased().hasSuffix($0) }
    }

    /// Paths of the YAML files right in `folder`, sorted.
    func paths(in folder: String) -> [String] {
        contents.keys.filter { path in
            path.hasPrefix(folder + "/") && !path.dropFirst(folder.count + 1).contains("/")
        }.sorted()
    }

    /// The root of one file's document; its mistakes are noted.
    func root(_ path: String, problems: ProblemList) -> Item? {
        guard let bytes = contents[path] else { return nil }
        let document = YAMLDocument(parsing: bytes)
        for problem in document.problems {
            problems.error(
                FilePosition(
                    file: path, line: problem.position.line, column: problem.position.column),
                problem.text)
        }
        return document.root.map { Item(node: $0, file: path, problems: problems) }
    }
}
