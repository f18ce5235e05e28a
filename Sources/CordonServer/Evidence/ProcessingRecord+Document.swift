import Bytes

extension ProcessingRecord {
    /// The record as Markdown.
    package var markdown: String { document.map(\.markdown).joined(separator: "\n\n") + "\n" }

    /// The record as an HTML page that needs nothing else.
    package var html: String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>Record of processing activities</title>
        <style>
        body { font: 16px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
        table { border-collapse: collapse; margin: .5rem 0 1rem }
        td, th { border: 1px solid #bbb; padding: .3rem .6rem; text-align: left; vertical-align: top }
        @media print { h2 { break-before: page } h2:first-of-type { break-before: auto } }
        </style></head><body>
        \(document.map(\.html).joined(separator: "\n"))
        </body></html>

        """
    }

    private var document: [DocumentBlock] {
        var blocks: [DocumentBlock] = [
            .heading(1, "Record of processing activities"),
            .paragraph(
                "Regulation (EU) 2016/679, article 30. Made at \(madeAt) from the policies in force (rule set \(ruleSet)) and from "
                    + "the audit logs of \(period.since.map { "\($0) to " } ?? "the time up to ")\(period.until)."
            ),
            .table(
                ["", ""],
                [
                    ["controller", controller ?? "to be filled in by the controller"],
                    [
                        "contact, data protection officer",
                        contact ?? "to be filled in by the controller",
                    ],
                    ["data subjects", "visitors of the sites on which the pixel is placed"],
                ]),
            .heading(2, "Activities"),
        ]
        for activity in activities { blocks += Self.blocks(activity) }
        blocks.append(.heading(2, "What the audit logs say"))
        for region in regions { blocks += self.blocks(region) }
        blocks.append(.heading(2, "Technical and organisational measures"))
        blocks.append(.paragraph("Article 32(1), as far as the software has part in it."))
        blocks.append(.list(Self.measures(regions)))
        return blocks
    }

    private static func blocks(_ activity: Activity) -> [DocumentBlock] {
        func listed(_ texts: [String], or none: String = "none") -> String {
            texts.isEmpty ? none : texts.joined(separator: ", ")
        }
        var blocks: [DocumentBlock] = [
            .heading(3, "\(activity.title) (\(activity.policy))"),
            .table(
                ["", ""],
                [
                    ["law", activity.source],
                    ["rule", activity.rule],
                    ["persons in", listed(activity.places)],
                    ["sites", listed(activity.sites)],
                    ["kept in", activity.region ?? "nowhere: every hit is refused"],
                    ["purposes", listed(activity.purposes)],
                    ["consent is read from", listed(activity.signals)],
                    ["without consent", activity.withoutConsent],
                    ["erased after", "\(activity.retentionDays) days"],
                ]),
        ]
        guard activity.region != nil else { return blocks }
        blocks += [
            .paragraph("Categories of data"),
            .table(
                ["field", "columns", "form", "only for", "erased after"],
                activity.categories.map {
                    [
                        $0.field, listed($0.columns), $0.form, listed($0.needs, or: "any purpose"),
                        "\($0.days ?? activity.retentionDays) days",
                    ]
                }),
            .paragraph("Recipients"),
            .table(
                ["role", "purposes", "asks from", "sees", "hidden", "rule"],
                activity.recipients.map {
                    [
                        $0.role, listed($0.purposes), listed($0.from),
                        $0.sees == "rows" ? "rows" : "groups of at least \($0.minGroup) people",
                        listed($0.hidden), $0.rule,
                    ]
                }),
            .paragraph("Transfers to elsewhere"),
            activity.transfers.isEmpty
                ? .paragraph("None: who asks from another place is refused.")
                : .table(
                    ["to", "what", "rule"],
                    activity.transfers.map {
                        [listed($0.to), "groups of at least \($0.minGroup) people", $0.rule]
                    }),
        ]
        return blocks
    }

    private func blocks(_ region: Region) -> [DocumentBlock] {
        func counts(_ counted: [String: Int]) -> [[String]] {
            counted.sorted { $0.key < $1.key }.map { [$0.key, "\($0.value)"] }
        }
        func answers(_ list: [Region.Answers]) -> DocumentBlock {
            list.isEmpty
                ? .paragraph("None.")
                : .table(
                    ["place", "role", "purpose", "answers", "rows"],
                    list.map { [$0.place, $0.role, $0.purpose, "\($0.answers)", "\($0.rows)"] })
        }
        let erasures = region.erasures
        return [
            .heading(3, "\(region.title) (\(region.region), \(region.jurisdiction))"),
            .table(
                ["", ""],
                [["entries", "\(region.entries)"]]
                    + counts(region.hits).map { ["hits \($0[0])", $0[1]] }
                    + counts(region.requests) + counts(region.refusals) + [
                        [
                            "erasures done",
                            "\(erasures.done), the longest took \(erasures.daysMax) days",
                        ],
                        [
                            "erasures after the limit of \(deadlineDays) days",
                            "\(erasures.late) done late, \(erasures.overdue) overdue",
                        ],
                        [
                            "erasures open",
                            "\(erasures.open)"
                                + (erasures.nextDue.map { ", the next is due on \($0)" } ?? ""),
                        ],
                        ["rows removed", "\(region.rowsRemoved)"],
                        ["retention applied", "\(region.retentionRuns) times"],
                        ["pseudonym keys destroyed", "\(region.keysDestroyed)"],
                    ]),
            .paragraph("Queries answered where access rules let them be asked"),
            answers(region.queries),
            .paragraph("Queries answered to elsewhere, under a transfer rule"),
            answers(region.transfers),
        ]
    }

    private static func measures(_ regions: [Region]) -> [String] {
        var measures = [
            "The address is cut, identifiers become pseudonyms under keys that rotate, and the rest is reduced, in memory and before anything is stored.",
            "Each region has its own storage, keys and audit log; a query passes the rules of the policy that admitted each row, and runs confined.",
            "What matters is in an append-only, signed log before its effect; a refusal too.",
        ]
        for region in regions {
            let keys =
                region.keysAreWrapped
                ? "keys are wrapped by a master key kept elsewhere"
                : "keys lie on the machine's disk, readable by their owner alone"
            let transport =
                region.collectorHasTLS
                ? "hits come over TLS" : "TLS ends before the collector, at a proxy"
            measures.append(
                "\(region.region): \(keys); \(transport); \(region.witnesses) other region(s) witness the log."
            )
        }
        return measures
    }
}

/// A piece of a document that is written as Markdown and as HTML.
private enum DocumentBlock {
    case heading(Int, String)
    case paragraph(String)
    case list([String])
    /// Names of columns and rows; without names a list of pairs.
    case table([String], [[String]])

    var markdown: String {
        switch self {
        case .heading(let level, let text):
            String(repeating: "#", count: level) + " " + Self.markdown(text)
        case .paragraph(let text): Self.markdown(text)
        case .list(let texts): texts.map { "- " + Self.markdown($0) }.joined(separator: "\n")
        case .table(let names, let rows):
            ([names, names.map { _ in "---" }] + rows).map { row in
                "| " + row.map(Self.markdown).joined(separator: " | ") + " |"
            }.joined(separator: "\n")
        }
    }

    var html: String {
        switch self {
        case .heading(let level, let text): return "<h\(level)>\(Bytes.htmlText(text))</h\(level)>"
        case .paragraph(let text): return "<p>\(Bytes.htmlText(text))</p>"
        case .list(let texts):
            return "<ul>" + texts.map { "<li>\(Bytes.htmlText($0))</li>" }.joined() + "</ul>"
        case .table(let names, let rows):
            let head =
                names.allSatisfy(\.isEmpty)
                ? "" : "<tr>" + names.map { "<th>\(Bytes.htmlText($0))</th>" }.joined() + "</tr>\n"
            let body = rows.map { row in
                "<tr>" + row.map { "<td>\(Bytes.htmlText($0))</td>" }.joined() + "</tr>"
            }
            return "<table>\(head)\(body.joined(separator: "\n"))</table>"
        }
    }

    /// Texts come from policy files: nothing in them may end a cell or begin a mark-up.
    private static func markdown(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "|", "*", "_", "`", "<", "[", "\\": escaped += "\\\(character)"
            case "\n", "\r", "\r\n": escaped += " "
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
