import Bytes
import LinuxIO
import TestSupport
import Testing

@Suite struct `Sockets and events` {
    @Test func `a port that somebody listens on is not free, though it could be shared`() throws {
        let address = try #require(IPAddress("127.0.0.1"))
        let listener = try Socket.listening(on: address, port: 0, backlog: 8)
        let port = try listener.localPort
        let shared = try Socket.listening(on: address, port: port, backlog: 8)
        #expect(try shared.localPort == port)
        #expect(throws: NetworkError.self) { try Socket.requireFree(address, port: port) }
        try Socket.requireFree(address, port: 0)
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `a listener on port 0 takes a connection and moves bytes`(_ text: String) throws {
        let address = try #require(IPAddress(text))
        let listener = try Socket.listening(on: address, port: 0, backlog: 8)
        let port = try listener.localPort
        #expect(port != 0)
        let none = try listener.accept() == nil
        #expect(none)
        let client = try Socket.connected(to: address, port: port)
        let epoll = try Epoll(eventsMax: 8)
        try epoll.add(listener.descriptor, token: 7, writing: false)
        let ready0 = try epoll.wait(milliseconds: 5000)
        #expect(ready0 == 1)
        let (token, readiness) = epoll.event(0)
        #expect(token == 7)
        #expect(readiness.contains(.read))
        guard let accepted = try listener.accept() else {
            Issue.record("a connection waits")
            return
        }
        let peer = accepted.peer
        #expect(peer == address)
        let server = accepted.take()
        let written = [UInt8]([1, 2, 3]).withUnsafeBytes { client.write($0) }
        #expect(written == .bytes(3))
        try epoll.add(server.descriptor, token: 9, writing: true)
        let ready1 = try epoll.wait(milliseconds: 5000)
        #expect(ready1 == 1)
        var buffer = [UInt8](repeating: 0, count: 16)
        let read0 = buffer.withUnsafeMutableBytes { server.read(into: $0) }
        #expect(read0 == .bytes(3))
        #expect(buffer.prefix(3) == [1, 2, 3])
        let read1 = buffer.withUnsafeMutableBytes { server.read(into: $0) }
        #expect(read1 == .wouldBlock)
        client.shutdownWriting()
        let ready2 = try epoll.wait(milliseconds: 5000)
        #expect(ready2 == 1)
        let last = epoll.event(0).readiness
        #expect(last.contains(.ended))
        let read2 = buffer.withUnsafeMutableBytes { server.read(into: $0) }
        #expect(read2 == .closed)
    }

    @Test func `two listeners share a port`() throws {
        let address = try #require(IPAddress("127.0.0.1"))
        let first = try Socket.listening(on: address, port: 0, backlog: 8)
        let second = try Socket.listening(on: address, port: try first.localPort, backlog: 8)
        let ports = (try first.localPort, try second.localPort)
        #expect(ports.0 == ports.1)
    }

    @Test func `a signal wakes another thread once`() throws {
        let woken = try WakeSignal()
        let thread = try SystemThread(name: "signaller") { woken.signal() }
        woken.wait()
        thread.join()
        woken.wait(milliseconds: 0)
    }
}
