import CordonModel
import CordonPolicy
import CordonServer
import LinuxIO

extension Command {
    static let auditReport = Command(
        ["audit", "report"],
        summary:
            "the record of processing activities (GDPR article 30), from policies and audit logs",
        usage:
            "[--region REGION]… [--since DAY] [--until DAY] [--format markdown|html] [--out FILE]",
        options: [
            .regions,
            .init(
                name: "since", value: "DAY",
                help: "first day of the period (default: the first there is)"),
            .init(name: "until", value: "DAY", help: "last day of the period (default: today)"),
            .init(name: "format", value: "FORMAT", help: "markdown (the default) or html"),
            .init(name: "out", value: "FILE", help: "write it there instead of printing it"),
            .init(
                name: "controller", value: "TEXT", help: "name and address of the controller"),
            .init(
                name: "contact", value: "TEXT",
                help: "who is to be asked, such as the data protection officer"),
            .init(
                name: "deadline", value: "DAYS",
                help: "within how many days a request is to be carried out (default: "
                    + "\(ProcessingRecord.deadlineDaysDefault))"),
        ],
        example: "cordon audit report --since 2026-01-01 --format html --out record.html"
    ) { arguments, console in
        var options = ProcessingRecord.Options()
        options.since = try arguments.day("since")
        options.until = try arguments.day("until")
        if let since = options.since, let until = options.until, until < since {
            throw UsageError(text: "`--until` lies before `--since`")
        }
        options.controller = arguments.value("controller")
        options.contact = arguments.value("contact")
        options.deadlineDays =
            try arguments.integer("deadline", in: 1...365) ?? ProcessingRecord.deadlineDaysDefault
        let format = arguments.value("format") ?? "markdown"
        guard ["markdown", "html"].contains(format) else {
            throw UsageError(text: "`--format` is markdown or html, found `\(format)`")
        }
        let record = try ProcessingRecord(
            CordonCLI.configuration(arguments), regions: CordonCLI.regions(arguments),
            options: options, clock: SystemWallClock())
        if arguments.wantsJSON {
            try console.print(json: record)
            return .done
        }
        let text = format == "html" ? record.html : record.markdown
        if let path = arguments.value("out") {
            try File.write(path, Array(text.utf8), mode: 0o644)
            console.print(
                "\(record.activities.count) activities, \(record.regions.count) regions: \(path)")
        } else {
            console.print(String(text.dropLast()))
        }
        return .done
    }
}
