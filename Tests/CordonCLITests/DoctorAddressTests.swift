import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `Doctor address` {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        try ShippedProject.copy(to: folder.path)
        try Directory.create(folder.file("var/geo"))
        let source = folder.file("a.csv")
        try File.write(source, Array("88.198.0.0/16,DE\n8.8.8.0/24,US,CA\n".utf8))
        #expect(
            CordonCLI.main([
                "geo", "build", "--format", "csv", "--out", folder.file("var/geo/places.cgt"),
                source,
            ]) == 0)
    }

    private func run(_ words: String...) -> Int32 {
        CordonCLI.main(["doctor", "address", "--project", folder.path, "--json"] + words)
    }

    @Test func `ends with 0 where the client is known and with 1 where it is not`() {
        let chain = "X-Forwarded-For: 88.198.0.1, 127.0.0.2"
        #expect(run("--region", "eu-central", "--peer", "127.0.0.1", "--header", chain) == 0)
        #expect(run("--region", "eu-central", "--peer", "8.8.8.8", "--header", chain) == 0)
        #expect(run("--region", "eu-central", "--peer", "127.0.0.1") == 1)
        #expect(
            run("--region", "eu-central", "--peer", "::1", "--header", "X-Forwarded-For: x") == 1)
    }

    @Test func `takes a mapped network of proxies for the one of IPv4 that it stands for`() throws {
        let path = folder.file("Regions/eu-central.yaml")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let mapped = text.replacing("127.0.0.0/8", with: "\"::ffff:127.0.0.0/104\"")
        try #require(mapped != text)
        try File.write(path, Array(mapped.utf8))
        #expect(run("--region", "eu-central", "--peer", "127.0.0.1") == 1)
        let chain = "X-Forwarded-For: 88.198.0.1"
        #expect(run("--region", "eu-central", "--peer", "127.0.0.1", "--header", chain) == 0)
    }

    @Test func `takes the PROXY header where the region reads one`() throws {
        let path = folder.file("Regions/eu-central.yaml")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try File.write(
            path, Array(text.replacing("x-forwarded-for", with: "proxy-protocol").utf8))
        let line = "PROXY TCP4 88.198.0.1 192.0.2.1 56324 443"
        let start = ["--region", "eu-central", "--peer", "127.0.0.1"]
        let command = ["doctor", "address", "--project", folder.path]
        #expect(CordonCLI.main(command + start + ["--proxy-header", line]) == 0)
        #expect(CordonCLI.main(command + start) == 1)
        #expect(CordonCLI.main(command + start + ["--proxy-header", "PROXY TCP4 x"]) == 2)
    }

    @Test func `says what it cannot use`() {
        #expect(run("--region", "eu-centrl", "--peer", "127.0.0.1") == 2)
        #expect(run("--region", "eu-central", "--peer", "localhost") == 2)
        #expect(run("--region", "eu-central") == 2)
        for header in ["no colon", "X : y", "Host: two", "X: a\r\n\r\nGET /"] {
            #expect(
                run("--region", "eu-central", "--peer", "127.0.0.1", "--header", header) == 2,
                "\(header)")
        }
    }
}
