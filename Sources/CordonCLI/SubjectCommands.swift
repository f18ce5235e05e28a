import CordonServer
import CordonSubjects
import HPKE
import LinuxIO

extension Command.Option {
    fileprivate static let law = Command.Option(
        name: "law", value: "LAW",
        help:
            "the law that sets the day for the answer, by its policy's name (default: the strictest of the region's policies)"
    )
    fileprivate static let received = Command.Option(
        name: "received", value: "DATE", help: "the day on which the person asked (default: today)")
}

extension Command {
    static let subjectFind = Command(
        ["subject", "find"], summary: "what is held on a person",
        usage: "(\(SubjectNaming.usage)) [--region R]…",
        options: Option.naming + [.regions],
        example: "printf %s customer-4711 | cordon subject find --user -"
    ) { arguments, console in
        try SubjectRun(arguments, console).find(state: "done")
        return .done
    }

    static let subjectExport = Command(
        ["subject", "export"], summary: "everything held on a person, as JSON and CSV",
        usage: "(\(SubjectNaming.usage)) [--region R]… [--out DIR | --archive FILE [--to KEY]]",
        options: Option.naming + [
            .regions,
            Option(
                name: "archive", value: "FILE",
                help: "write one ZIP archive with a page to read, the JSON and the CSV files"),
            Option(
                name: "to", value: "KEY",
                help:
                    "seal the archive to this X25519 public key (PEM or 64 hexadecimal digits): `subject open` opens it"
            ),
            Option(
                name: "out", value: "DIR",
                help:
                    "write export.json and a CSV file a region there (default: JSON to standard output)"
            ),
        ],
        example: "cordon subject export --user customer-4711 --out export"
    ) { arguments, console in
        guard !arguments.has("archive") || !arguments.has("out") else {
            throw UsageError(text: "an export goes to `--out` or to `--archive`")
        }
        guard let archive = arguments.value("archive") else {
            guard !arguments.has("to") else {
                throw UsageError(text: "`--to` seals an archive: say where by `--archive`")
            }
            try SubjectRun(arguments, console).export(to: arguments.value("out"))
            return .done
        }
        let recipient = try arguments.value("to").map(ExportKeys.publicKey)
        try SubjectRun(arguments, console).export(archive: archive, recipient: recipient)
        return .done
    }

    static let subjectOpen = Command(
        ["subject", "open"], summary: "open an archive that was sealed to a key",
        usage: "FILE --key KEY --out FILE.zip",
        options: [
            Option(
                name: "key", value: "KEY",
                help: "the X25519 private key (PEM or 64 hexadecimal digits)"),
            Option(
                name: "out", value: "FILE", help: "where the archive goes; it must not be there"),
        ],
        example: "cordon subject open export.sealed --key recipient.pem --out export.zip",
        arguments: 1...1
    ) { arguments, console in
        let key = try ExportKeys.privateKey(try arguments.required("key"))
        let out = try arguments.required("out")
        do {
            try ExportArchive.open(arguments.free[0], with: key, to: out)
        } catch let error as SealedStreamError {
            throw CommandFailure(text: "`\(arguments.free[0])`: \(error)", exitCode: .foundProblem)
        }
        if arguments.wantsJSON {
            try console.print(json: JSONValue.object(["archive": .text(out)]))
        } else {
            console.print("opened: \(out)")
        }
        return .done
    }

    static let subjectErase = Command(
        ["subject", "erase"],
        summary: "remove a person for good and keep no new hits of them",
        usage:
            "(\(SubjectNaming.usage)) [--region R]… --yes [--allow-share PERCENT] | --resume [--region R]…",
        options: Option.naming + [
            .regions,
            Option(name: "yes", value: nil, help: "do it; without it, only what would go is shown"),
            Option(
                name: "allow-share", value: "PERCENT",
                help:
                    "let so much of a region's rows go (default: \(Int(SubjectService.sharePercentMax)))"
            ),
            .law, .received,
            Option(name: "resume", value: nil, help: "go on with requests that were cut"),
        ],
        example: "cordon subject erase --user customer-4711 --yes"
    ) { arguments, console in
        if arguments.has("resume") {
            guard !SubjectNaming.isGiven(arguments) else {
                throw UsageError(
                    text: "`--resume` goes on with every request and takes no name of a person")
            }
            return try SubjectRun.resume(arguments, console)
        }
        let run = try SubjectRun(arguments, console)
        guard arguments.has("yes") else {
            try run.find(state: SubjectRun.preview)
            console.note("nothing was changed: `--yes` erases this for good")
            return .wrongUsage
        }
        let percent = try arguments.integer("allow-share", in: 1...100).map(Double.init)
        return try run.erase(percentMax: percent ?? SubjectService.sharePercentMax)
    }

    static let subjectRectify = Command(
        ["subject", "rectify"],
        summary: "take consent back from a person's hits, as if it had never been given",
        usage:
            "(\(SubjectNaming.usage)) --withdraw PURPOSE[,PURPOSE]… [--since DATE] [--region R]… --yes [--allow-share PERCENT]",
        options: Option.naming + [
            Option(
                name: "withdraw", value: "PURPOSES",
                help: "the purposes without consent, separated by commas, or `all`"),
            Option(
                name: "since", value: "DATE",
                help: "hits of this day and later ones (default: all until now)"),
            .regions,
            Option(
                name: "yes", value: nil,
                help: "do it; without it, only what would change is shown"),
            Option(
                name: "allow-share", value: "PERCENT",
                help:
                    "let so much of a region's rows be the person's (default: \(Int(SubjectService.sharePercentMax)))"
            ),
            .law, .received,
        ],
        example: "cordon subject rectify --user customer-4711 --withdraw advertising --yes"
    ) { arguments, console in
        let percent = try arguments.integer("allow-share", in: 1...100).map(Double.init)
        return try SubjectRun(arguments, console).rectify(
            percentMax: percent ?? SubjectService.sharePercentMax)
    }

    static let subjectObject = Command(
        ["subject", "object"],
        summary: "keep no new hits of a person, and leave those that are there",
        usage: "(--user ID | --file IDS) [--law LAW] [--received DATE] [--region R]…",
        options: Option.naming.filter { $0.name == "user" || $0.name == "file" }
            + [.law, .received, .regions],
        example: "cordon subject object --user customer-4711"
    ) { arguments, console in try SubjectRun(arguments, console).object() }

    static let subjectVerify = Command(
        ["subject", "verify"],
        summary: "read everything under a region and tell where a person is found",
        usage: "(\(SubjectNaming.usage)) [--region R]…", options: Option.naming + [.regions],
        example: "cordon subject verify --user customer-4711"
    ) { arguments, console in try SubjectRun(arguments, console).verify() }

    static let subjectStatus = Command(
        ["subject", "status"], summary: "where each request stands",
        usage: "[--region R]… [REQUEST]", options: [.regions],
        example: "cordon subject status", arguments: 0...1
    ) { arguments, console in try SubjectStatus.run(arguments, console) }
}
