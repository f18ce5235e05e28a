import Bytes
import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import LinuxIO
import Telemetry
import TestSupport
import Testing

@Suite struct `A region's service` {
    @Test func `names its region and the address that it cannot listen on`() throws {
        let directory = try TemporaryDirectory()
        let loopback = IPAddress(ipv4: 0x7F00_0001)
        let taken = try Socket.listening(on: loopback, port: 0, backlog: 1)
        let port = try taken.localPort
        var region = RegionConfiguration.forTest(in: directory.file("var/r1"))
        region.service = .init(listen: .init(address: loopback, port: port))
        _ = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        let layout = ProjectLayout(root: directory.path)
        let configuration = try ProjectConfiguration.load(
            ProjectFiles(ShippedProject.texts(cases: false)), layout: layout,
            now: Day("2026-11-23")!)
        let error = #expect(throws: NodeError.self) {
            _ = try RegionService(
                region, configuration, layout: layout, usesFreePort: false,
                logger: Logger(level: .error))
        }
        #expect(
            error?.text.hasPrefix(
                "region `r1` cannot listen on 127.0.0.1:\(port) for its service: ") == true)
        _ = consume taken
    }
}
