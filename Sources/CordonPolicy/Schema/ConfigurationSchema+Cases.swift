internal import CordonModel

// Cases and acceptances.
extension ConfigurationSchema {
    static let cases = SchemaFile(
        name: "cases", path: "Policies/cases/NAME.yaml", title: "Cases",
        shape: .list(
            .mapping(
                SchemaMapping([
                    SchemaKey("note", .text(form: nil), required: true, "what it shows"),
                    SchemaKey(
                        "given",
                        .mapping(
                            SchemaMapping(
                                [
                                    SchemaKey(
                                        "place",
                                        .text(form: "^(unknown|[A-Z]{2}(-[A-Z0-9]{1,3})?)$"),
                                        "a code, or `unknown`; either this or `address`"),
                                    SchemaKey(
                                        "address", .text(form: "^[0-9a-fA-F.:]+$"),
                                        "looked up in the project's geo table"),
                                    SchemaKey(
                                        "method", .text(form: nil), fallback: "GET", "the method"),
                                    SchemaKey("site", .text(form: nil), "the parameter `site`"),
                                    SchemaKey(
                                        "headers",
                                        .dictionary(name: "HEADER", form: "^[!-~]+$", .scalar),
                                        fallback: "none", "header lines by name"),
                                    SchemaKey(
                                        "url", .text(form: nil),
                                        fallback: "https://pixel.example/pixel.gif",
                                        "the whole address"),
                                    SchemaKey(
                                        "date", .day, fallback: "today", "the day of the hit"),
                                ], oneOf: ["place", "address"])), required: true, "the hit"),
                    SchemaKey(
                        "expect",
                        .mapping(
                            SchemaMapping([
                                SchemaKey("outcome", .word(outcomes), "the outcome"),
                                SchemaKey(
                                    "region", .text(form: name), "the home region, or `none`"),
                                SchemaKey("policy", .text(form: name), "who decides"),
                                SchemaKey(
                                    "consent", .word(ConsentState.allCases.map(\.text)),
                                    "the state of consent"),
                                SchemaKey(
                                    "purposes", .list(.text(form: nil), least: 0),
                                    "purposes that are granted"),
                                SchemaKey(
                                    "signals", .list(.text(form: nil), least: 0),
                                    "signals that spoke"
                                ),
                                SchemaKey(
                                    "fields",
                                    .dictionary(
                                        name: "FIELD",
                                        form: "^("
                                            + FieldName.allCases.map(\.rawValue).joined(
                                                separator: "|") + ")$", .text(form: nil)),
                                    "what `policy explain` says of a field"),
                                SchemaKey(
                                    "retain_days", .integer(0...Item.daysMax), "days of retention"),
                                SchemaKey(
                                    "sample_rate", .number(above: nil, upTo: 1),
                                    "share that is kept"),
                            ])), required: true,
                        "what must come of it; what is left out is not looked at"),
                ])), least: 0))

    static let accepted = SchemaFile(
        name: "accepted", path: "Policies/accepted.yaml", title: "Accepted findings",
        shape: .mapping(
            SchemaMapping([
                SchemaKey(
                    "accepted",
                    .list(
                        .mapping(
                            SchemaMapping([
                                SchemaKey(
                                    "finding", .word(Finding.allCases.map(\.rawValue)),
                                    required: true, "the word in brackets"),
                                SchemaKey(
                                    "file", .text(form: nil), required: true,
                                    "the file of the finding"),
                                SchemaKey(
                                    "about", .text(form: nil), fallback: "any",
                                    "a name in the finding's backticks"),
                                SchemaKey(
                                    "reason", .text(form: nil), required: true, "why it may stand"),
                                SchemaKey(
                                    "until", .day, fallback: "for good",
                                    "the last day on which it is accepted"),
                            ])), least: 0), required: true, "findings to let stand")
            ])))
}
