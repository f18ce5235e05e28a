import Foundation

/// An HTTPS server on a free port of loopback that answers with whatever bytes a test put there; a program of Python.
///
/// It ends with the object.
package final class TestHTTPSServer: @unchecked Sendable {
    // The process is only started and ended; its answers lie in files.
    private let process = Process()
    private let input = Pipe()
    private let folder: TemporaryDirectory
    package let port: UInt16

    private static let script = #"""
        import http.server, os, ssl, sys, threading, urllib.parse
        certificate, key, root = sys.argv[1:4]
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.close_connection = True
                with open(root + "/requests", "a") as log:
                    log.write(self.path + "\n")
                try:
                    with open(root + "/" + urllib.parse.quote(self.path, safe=""), "rb") as file:
                        self.wfile.write(file.read())
                    if not self.path.endswith("/cut"):
                        self.connection.unwrap()
                except OSError:
                    pass
            def log_message(self, *words):
                pass
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, connection, address):
                try:
                    self.RequestHandlerClass(context.wrap_socket(connection, server_side=True), address, self)
                except OSError:
                    pass
        server = Server(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        os._exit(0)
        """#

    package struct Failure: Error {}

    /// - Parameters:
    ///   - certificate: PEM file, with `key` beside it.
    package init(certificate: String, key: String) throws {
        folder = try TemporaryDirectory()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script, certificate, key, folder.path]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line: [UInt8] = []
        while line.last != 0x0A {
            let next = output.fileHandleForReading.readData(ofLength: 1)
            guard !next.isEmpty else { throw Failure() }
            line += next
        }
        guard let port = UInt16(String(decoding: line.dropLast(), as: UTF8.self)) else {
            throw Failure()
        }
        self.port = port
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    package var base: String { "https://localhost:\(port)" }

    /// Answers `path` with these bytes, head and all.
    package func put(_ answer: String, at path: String) throws {
        let name = path.addingPercentEncoding(
            withAllowedCharacters: .alphanumerics.union(.init(charactersIn: "-._~")))
        try answer.write(
            toFile: folder.file(name ?? ""), atomically: false, encoding: .utf8)
    }

    /// Answers `path` with a document.
    package func put(document: String, at path: String) throws {
        try put(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(document.utf8.count)\r\n\r\n\(document)",
            at: path)
    }

    /// The paths that were asked for, in order.
    package var requests: [String] {
        let text = try? String(contentsOfFile: folder.file("requests"), encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }
}
