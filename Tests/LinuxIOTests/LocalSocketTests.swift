import Foundation
import LinuxIO
import TestSupport
import Testing

@Suite struct `Local sockets` {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func `an order and its answer cross, and each end knows the other's process`() throws {
        // Longer than an address may be.
        let folder = directory.file(String(repeating: "long", count: 50))
        try Directory.create(folder)
        let listener = try LocalListener(directory: folder, name: "a.sock")
        let mode = try FileManager.default.attributesOfItem(atPath: folder + "/a.sock")
        #expect(mode[.posixPermissions] as? Int == 0o600)
        let client = try LocalConnection(directory: folder, name: "a.sock")
        try client.write(Array("order\n".utf8))
        let served = try #require(serve(listener))
        #expect(served.order == Array("order\n".utf8))
        #expect(served.process == getpid())
        #expect(try client.peer.process == getpid())
        #expect(try client.read(through: nil, bytesMax: 100) == Array("answer".utf8))
    }

    /// Takes one connection, reads a line and answers.
    private func serve(_ listener: LocalListener) -> (order: [UInt8], process: Int32)? {
        guard let connection = listener.accept() else { return nil }
        guard let order = try? connection.read(through: 0x0A, bytesMax: 64),
            let process = try? connection.peer.process
        else { return nil }
        try? connection.write(Array("answer".utf8))
        return (order, process)
    }

    @Test func `a name that nobody listens at refuses, and one that is gone is missing`() throws {
        let path = directory.path
        do {
            let listener = try LocalListener(directory: path, name: "b.sock")
            try FileManager.default.moveItem(
                atPath: path + "/b.sock", toPath: path + "/left.sock")
            withExtendedLifetime(listener) {}
        }
        func code(_ name: String) -> Int32? {
            do throws(NetworkError) {
                _ = try LocalConnection(directory: path, name: name)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code("left.sock") == ECONNREFUSED)
        #expect(code("b.sock") == ENOENT)
    }

    @Test func `waiting ends when the listener is shut`() throws {
        let listener = try LocalListener(directory: directory.path, name: "c.sock")
        listener.shut()
        let none = listener.accept() == nil
        #expect(none)
    }
}
