import Glibc

/// Finds the files that set-up laid beside the program: DuckDB's library, the user agent rules.
package enum InstalledData {
    /// The folder for data that was installed for the whole machine.
    package static let systemDirectory = "/usr/share/cordon"

    /// The path of `name`, such as `user-agents/rules.tsv`, or nil when it is nowhere.
    ///
    /// What the environment variable `variable` says goes first and is taken as it is, whether or not the file
    /// is there, so that a wrong value is noticed. Then comes `.deps/` in the program's folder and each
    /// folder above it, then ``systemDirectory``.
    package static func find(_ name: String, environment variable: String? = nil) -> String? {
        if let variable, let given = unsafe getenv(variable), unsafe given.pointee != 0 {
            return unsafe String(cString: given)
        }
        return candidates(name).first { unsafe access($0, R_OK) == 0 }
    }

    /// Every path where ``find(_:environment:)`` looks for `name`, in its order.
    package static func candidates(_ name: String) -> [String] {
        var paths: [String] = []
        var folder = executablePath()[...]
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            paths.append(folder + "/.deps/" + name)
        }
        return paths + [systemDirectory + "/" + name]
    }

    /// The path of the running program, or an empty text where `/proc` is not mounted.
    package static func executablePath() -> String {
        let pathBytesMax = 4096
        var units = [CChar](repeating: 0, count: pathBytesMax)
        let count = unsafe readlink("/proc/self/exe", &units, pathBytesMax)
        guard count > 0, count < pathBytesMax else { return "" }
        return String(decoding: units[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
