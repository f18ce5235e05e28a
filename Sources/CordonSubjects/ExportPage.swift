internal import Bytes
package import CordonModel

/// The page of an export archive that a person reads first: what is held, what for, how long, and who may see it.
package struct ExportPage {
    private let madeAt: Timestamp
    private var regions: [Region] = []

    private struct Region {
        let heading: ExportHeading
        let finding: SubjectFinding
    }

    package init(madeAt: Timestamp) { self.madeAt = madeAt }

    package mutating func add(_ heading: ExportHeading, _ finding: SubjectFinding) {
        regions.append(Region(heading: heading, finding: finding))
    }

    package static let name = "index.html"

    package var html: String {
        let sections = regions.map { Self.section($0) }.joined()
        let meanings = SubjectExport.meanings.sorted { $0.key < $1.key }.map {
            "<tr><td><code>\($0.key)</code></td><td>\(Bytes.htmlText($0.value))</td></tr>\n"
        }.joined()
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>Everything that is held on you</title>
            <style>body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;line-height:1.5}
            table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.3em .6em;text-align:left;vertical-align:top}
            </style></head><body>
            <h1>Everything that is held on you</h1>
            <p>Made on \(Bytes.htmlText(madeAt.text)) in answer to a request for access and for data in a form that can be taken
            elsewhere (articles 15 and 20 of Regulation (EU) 2016/679, and the laws named below).</p>
            <p><code>export.json</code> has everything in one document for programs. For each region there is a table, such as
            <code>region.csv</code>, that any spreadsheet opens.</p>
            <h2>Where it comes from</h2>
            <p>From your browser alone: when you opened a page, or did something on it, that shows a counting pixel, your browser asked for
            that picture. What that request said was shortened and changed at once as the policies below say; the address, the browser's own
            description of itself and the page's address were never stored as they were. Nothing was bought, and nothing was taken from others.
            No decision is made about you by a program on this ground alone.</p>
            \(sections)<h2>What the columns mean</h2>
            <table><tr><th>column</th><th>what it is</th></tr>
            \(meanings)</table>
            <h2>What you may ask for</h2>
            <p>That it is put right, erased, or kept and not used; and you may object to it, or withdraw a consent that you gave. You may complain to the
            authority for data protection of the place where you live or work.</p>
            </body></html>

            """
    }

    private static func section(_ region: Region) -> String {
        let heading = region.heading
        let finding = region.finding
        let days =
            switch (finding.firstDay, finding.lastDay) {
            case (let first?, let last?): "from \(first.text) to \(last.text)"
            default: "none"
            }
        let keys =
            finding.keysFrom.map {
                "What is older than \($0.text) can no longer be tied to you or to anyone."
            } ?? ""
        let lost =
            finding.keysLost.isEmpty
            ? ""
            : " The key of a part of the time since \(finding.keysLost[0].text) was destroyed: what it marked can no longer be tied to you either."
        let policies = heading.policies.map { policy in
            let fields = policy.fieldDays.sorted { $0.key < $1.key }.map {
                "\(Bytes.htmlText($0.key)): \($0.value) days"
            }.joined(separator: "<br>")
            return """
                <tr><td>\(Bytes.htmlText(policy.title))<br>\(Bytes.htmlText(policy.source))</td>\
                <td>\(list(policy.purposes))</td><td>\(policy.retentionDays) days<br>\(fields)</td>\
                <td>\(list(policy.recipients))</td></tr>

                """
        }.joined()
        return """
            <h2>\(Bytes.htmlText(heading.title))</h2>
            <p>Region <code>\(Bytes.htmlText(heading.region))</code>; the machines stand in \(Bytes.htmlText(heading.jurisdiction)).
            \(finding.rows + finding.journalHits) events, \(days): <code>\(Bytes.htmlText(heading.region)).csv</code>. \(keys)\(lost)</p>
            <table><tr><th>law or policy</th><th>what for</th><th>how long at most</th><th>who may see it</th></tr>
            \(policies)</table>

            """
    }

    private static func list(_ items: [String]) -> String {
        items.map(Bytes.htmlText).joined(separator: "<br>")
    }
}
