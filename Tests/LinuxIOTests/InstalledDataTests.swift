import Glibc
import LinuxIO
import Testing

@Suite struct `Installed data` {
    @Test
    func `is looked for beside the program, in each folder above it, then for the whole machine`() {
        let candidates = InstalledData.candidates("user-agents/rules.tsv")
        let program = InstalledData.executablePath()
        let folder = program[..<(program.lastIndex(of: "/") ?? program.startIndex)]
        #expect(program.hasPrefix("/"))
        #expect(candidates.first == folder + "/.deps/user-agents/rules.tsv")
        #expect(
            candidates.suffix(2) == [
                "/.deps/user-agents/rules.tsv", "/usr/share/cordon/user-agents/rules.tsv",
            ])
    }

    @Test func `is taken from the environment as it stands, also where no file is`() {
        setenv("CORDON_TEST_INSTALLED_DATA", "/nowhere/at-all", 1)
        #expect(
            InstalledData.find("x", environment: "CORDON_TEST_INSTALLED_DATA") == "/nowhere/at-all")
    }

    @Test func `is nil where nothing was installed`() {
        #expect(InstalledData.find("no-such-file-anywhere") == nil)
        #expect(
            InstalledData.find("no-such-file-anywhere", environment: "CORDON_TEST_UNSET") == nil)
    }
}
