import Foundation

extension Command {
    static let demo = Command(
        ["demo"],
        summary: "show everything on this machine: traffic, queries, refusals, erasure, proof",
        usage: "[--dir DIR] [--hits N] [--seed S]",
        options: [
            Option(
                name: "dir", value: "DIR",
                help: "where to leave the project (default: cordon-demo; made anew)"),
            Option(name: "hits", value: "N", help: "hits to send (default: 200000)"),
            Option(name: "seed", value: "S", help: "seed of the traffic (default: 20261123)"),
        ],
        example: "cordon demo --hits 50000"
    ) { arguments, console in
        let path = URL(fileURLWithPath: arguments.value("dir") ?? "cordon-demo").standardizedFileURL
            .path
        var demo = Demo(
            directory: path,
            hitCount: try arguments.integer("hits", in: 1000...10_000_000) ?? 200_000,
            seed: UInt64(try arguments.integer("seed", in: 0...Int.max) ?? 20_261_123),
            console: console)
        return try demo.run()
    }
}
