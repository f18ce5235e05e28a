import CordonPolicy
import LinuxIO

extension Command {
    static let policyReference = Command(
        ["policy", "reference"],
        summary: "every key of every configuration file, as a page or as JSON Schema for editors",
        usage: "[--schema FILE | --out DIR]",
        options: [
            .init(
                name: "schema", value: "FILE",
                help: "print the JSON Schema of one kind of file: "
                    + ConfigurationSchema.files.map(\.name).joined(separator: ", ")),
            .init(
                name: "out", value: "DIR",
                help: "write Docs/configuration-keys.md and Schemas/*.schema.json below DIR"),
        ],
        example: "cordon policy reference --schema policy"
    ) { arguments, console in
        let files = ConfigurationSchema.files
        if let folder = arguments.value("out") {
            try write(to: folder, console)
        } else if let name = arguments.value("schema") {
            guard let file = files.first(where: { $0.name == name }) else {
                throw UsageError(
                    text: "unknown kind of file `\(name)`"
                        + Spelling.suggestion(name, among: files.map(\.name))
                        + "; expected one of \(files.map(\.name).joined(separator: ", "))")
            }
            console.print(String(file.jsonSchema.dropLast()))
        } else if arguments.wantsJSON {
            for file in files { console.print(json(file.jsonSchema)) }
        } else {
            console.print(String(ConfigurationSchema.reference.dropLast()))
        }
        return .done
    }

    private static func write(to folder: String, _ console: Console) throws {
        for name in ["Docs", "Schemas"] {
            try Directory.create(folder + "/" + name, mode: 0o755)
        }
        var texts = [("Docs/configuration-keys.md", ConfigurationSchema.reference)]
        texts += ConfigurationSchema.files.map { ("Schemas/\($0.name).schema.json", $0.jsonSchema) }
        for (path, text) in texts {
            try File.write(folder + "/" + path, Array(text.utf8), mode: 0o644, sync: false)
            console.print(path)
        }
    }

    /// One line of it.
    private static func json(_ text: String) -> String {
        text.split(separator: "\n").map { $0.drop { $0 == " " } }.joined()
    }
}
