internal import CADBC
internal import Glibc
internal import LinuxIO
internal import Synchronization

/// The engine's shared library, opened once in a process and never closed.
@safe package final class DuckDBLibrary: @unchecked Sendable {
    /// The file that was opened.
    package let path: String
    /// The driver's entry points. `@unchecked Sendable`: filled once before the object is shared and only read afterwards; the
    /// functions it points to live until the process ends because the library is never closed.
    let driver: UnsafeMutablePointer<AdbcDriver>

    private static let loaded = Mutex<DuckDBLibrary?>(nil)

    /// Opens the library, or returns the one that is open.
    ///
    /// Tried in this order: the file that `CORDON_DUCKDB` names and nothing else when it is set; the system's
    /// `libduckdb.so`; `.deps/duckdb/` in the folder of the running executable or any above it. The extension file of
    /// the Python package counts as a library: it has the whole C interface once `libpython3.11` is open.
    package static func load() throws(EngineError) -> DuckDBLibrary {
        try loaded.withLock { (held) throws(EngineError) -> DuckDBLibrary in
            if let held { return held }
            let library = try open()
            held = library
            return library
        }
    }

    private init(path: String, driver: UnsafeMutablePointer<AdbcDriver>) {
        self.path = path
        unsafe self.driver = unsafe driver
    }

    private static func open() throws(EngineError) -> DuckDBLibrary {
        if let named = unsafe getenv("CORDON_DUCKDB").map({ unsafe String(cString: $0) }),
            !named.isEmpty
        {
            guard let library = try open(named) else {
                throw missing("CORDON_DUCKDB names no library that can be opened")
            }
            return library
        }
        if let library = try open("libduckdb.so") { return library }
        for candidate in installedFiles() {
            if let library = try open(candidate) { return library }
        }
        throw missing("no DuckDB library was found; `scripts/setup` installs one in `.deps/duckdb`")
    }

    private static func missing(_ text: String) -> EngineError {
        EngineError(.libraryMissing, "load the engine", engineText: text)
    }

    /// Nil when the file cannot be opened at all.
    private static func open(_ path: String) throws(EngineError) -> DuckDBLibrary? {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        if name.hasPrefix("_duckdb") {
            // The extension file leaves its references to Python open; the interpreter is never started.
            _ = unsafe dlopen("libpython3.11.so.1.0", RTLD_NOW | RTLD_GLOBAL)
        }
        guard let handle = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL) else { return nil }
        guard let symbol = unsafe dlsym(handle, "duckdb_adbc_init") else {
            throw EngineError(
                .libraryUnsuitable, "load the engine",
                engineText: "the library has no `duckdb_adbc_init`")
        }
        let initialize = unsafe unsafeBitCast(symbol, to: cadbc_driver_init.self)
        let driver = UnsafeMutablePointer<AdbcDriver>.allocate(capacity: 1)
        unsafe driver.initialize(to: AdbcDriver())
        let status = unsafe initialize(CADBC_VERSION_1_1_0, UnsafeMutableRawPointer(driver), nil)
        guard status == 0 else {
            unsafe driver.deallocate()
            throw EngineError(
                .libraryUnsuitable, "load the engine",
                engineText: "the library does not offer ADBC 1.1.0")
        }
        return unsafe DuckDBLibrary(path: path, driver: driver)
    }

    /// Libraries in the folders that set-up fills, nearest first.
    private static func installedFiles() -> [String] {
        InstalledData.candidates("duckdb").flatMap { folder in
            entries(of: folder)
                .filter {
                    ($0.hasPrefix("_duckdb") || $0.hasPrefix("libduckdb")) && $0.hasSuffix(".so")
                }
                .sorted().map { folder + "/" + $0 }
        }
    }

    /// Names in a folder; none when it is not there, because then it holds no library.
    private static func entries(of folder: String) -> [String] {
        (try? Directory.list(folder)) ?? []
    }
}
