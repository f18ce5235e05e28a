import Foundation
import Glibc

/// A `cordon up` on free ports that this process started.
struct RunningNode {
    private let process: Process
    /// Ports of the collectors, in the order of the regions' names.
    let ports: [UInt16]
    var processIdentifier: Int32 { process.processIdentifier }

    private static let startSecondsMax = 20.0

    static func arguments(project: String) -> [String] {
        ["up", "--project", project, "--free-ports", "--ready-file", readyFile(project)]
    }

    private static func readyFile(_ project: String) -> String { project + "/var/ready.json" }

    /// Starts it and waits until every listener accepts.
    init(project: String) throws {
        process = try OwnProcess.start(Self.arguments(project: project))
        struct Ready: Decodable {
            struct Listener: Decodable { let port: UInt16 }
            let pid: Int32
            let regions: [Listener]
        }
        let deadline = ContinuousClock.now + .seconds(Self.startSecondsMax)
        while ContinuousClock.now < deadline, process.isRunning {
            if let data = FileManager.default.contents(atPath: Self.readyFile(project)) {
                let ready = try JSONDecoder().decode(Ready.self, from: data)
                // A file that an earlier run left is not this one's.
                if ready.pid == process.processIdentifier {
                    ports = ready.regions.map(\.port)
                    return
                }
            }
            usleep(20_000)
        }
        Glibc.kill(process.processIdentifier, SIGKILL)
        throw CommandFailure(text: "`cordon up` did not become ready; see the messages above")
    }

    /// Asks it to drain and waits for its end; returns its exit code.
    @discardableResult
    func stop() -> Int32 {
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }

    func kill() {
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
    }
}
