package import Bytes
package import CordonModel

/// One example with the decision that is expected of it, from `Policies/cases/`.
package struct PolicyCase: Equatable, Sendable {
    package var note: String
    package var position: FilePosition
    package var origin: Origin
    package var request: SyntheticRequest
    /// The day of the hit; nil is the day of the test.
    package var day: Day?
    package var expect: Expectation

    /// Where the hit comes from.
    package enum Origin: Equatable, Sendable {
        case place(RulePlace)
        /// Looked up in the project's geo table.
        case address(IPAddress)
    }

    /// What is held against the explanation; what is nil is not looked at.
    package struct Expectation: Equatable, Sendable {
        package var outcome: String?
        /// A region's name, or `none`.
        package var region: String?
        package var policy: String?
        /// The consent's state.
        package var consent: String?
        package var purposes: [String]?
        /// The signals that spoke, sorted.
        package var signals: [String]?
        /// Actions by field.
        package var fields: [String: String] = [:]
        package var retainDays: Int?
        package var sampleRate: String?
        package init() {}
    }
}

extension PolicyCase {
    /// What is not as expected, one line each; empty when the case passes.
    package func differences(from found: Explanation, on day: Day) -> [String] {
        var lines: [String] = []
        func compare(_ name: String, _ expected: String?, _ found: String) {
            if let expected, expected != found {
                lines.append("\(name): expected `\(expected)`, found `\(found)`")
            }
        }
        compare("outcome", expect.outcome, found.outcome)
        compare("region", expect.region, found.region ?? "none")
        compare("policy", expect.policy, found.policy)
        compare("consent", expect.consent, found.consent.state)
        compare(
            "purposes", expect.purposes?.sorted().joined(separator: ", "),
            found.consent.purposes.joined(separator: ", "))
        let spoke = found.consent.signals.filter { $0.state != "silent" }.map(\.signal).sorted()
        compare("signals", expect.signals?.joined(separator: ", "), spoke.joined(separator: ", "))
        for (field, action) in expect.fields.sorted(by: { $0.key < $1.key }) {
            compare("fields.\(field)", action, found.fields[field]?.action ?? "")
        }
        compare(
            "retain_days", expect.retainDays.map(String.init),
            found.retainUntil.flatMap { Day($0) }.map { String($0 - day) } ?? "none")
        compare("sample_rate", expect.sampleRate, "\(found.sampleRate)")
        return lines
    }
}

/// Reads a file of cases.
struct CaseReader {
    let problems: ProblemList
    let regions: [String]
    let policies: [String]

    func read(_ item: Item) -> [PolicyCase] {
        (item.list() ?? []).compactMap(policyCase)
    }

    private func policyCase(_ item: Item) -> PolicyCase? {
        guard let section = Section(item, keys: ["note", "given", "expect"]) else { return nil }
        let note = section.required("note")?.text()
        let given = section.required("given").flatMap(given)
        let expect = section.required("expect").flatMap(expectation)
        guard let note, let given, let expect else { return nil }
        return PolicyCase(
            note: note, position: item.position, origin: given.origin, request: given.request,
            day: given.day, expect: expect)
    }

    private func given(
        _ item: Item
    ) -> (origin: PolicyCase.Origin, request: SyntheticRequest, day: Day?)? {
        let keys = ["place", "address", "method", "site", "headers", "url", "date"]
        guard let section = Section(item, keys: keys) else { return nil }
        let origin = origin(section)
        let headers = section["headers"].map(headers) ?? []
        guard let origin, let headers else { return nil }
        var day: Day?
        if let item = section["date"] {
            day = item.scalar.flatMap { Day($0) }
            if day == nil {
                item.error("expected a date such as `2026-11-23`, found \(item.found)")
            }
        }
        var url = "https://pixel.example/pixel.gif"
        if let item = section["url"] {
            guard let text = item.text() else { return nil }
            url = text
        }
        if let item = section["site"] {
            guard let site = item.text() else { return nil }
            url += (url.contains("?") ? "&" : "?") + "site=" + site
        }
        var method = "GET"
        if let item = section["method"] {
            guard let text = item.text() else { return nil }
            method = text
        }
        do throws(SyntheticRequest.Mistake) {
            return (origin, try SyntheticRequest(method: method, url: url, headers: headers), day)
        } catch {
            item.error(error.text)
            return nil
        }
    }

    private func origin(_ section: Section) -> PolicyCase.Origin? {
        switch (section["place"], section["address"]) {
        case (let item?, nil):
            if item.scalar == "unknown" { return .place(RulePlace(country: nil)) }
            guard let text = item.text() else { return nil }
            switch Atlas.empty.resolve(text) {
            case .success(.country), .success(.subdivision):
                return RulePlace(code: text).map { .place($0) }
            default:
                item.error(
                    "expected an ISO 3166 code such as `DE` or `US-CA`, or `unknown`, found `\(text)`"
                )
                return nil
            }
        case (nil, let item?):
            guard let text = item.text() else { return nil }
            guard let address = IPAddress(text) else {
                item.error("expected an IP address, found `\(text)`")
                return nil
            }
            return .address(address)
        default:
            section.item.error("expected either `place` or `address`")
            return nil
        }
    }

    private func headers(_ item: Item) -> [(name: String, value: String)]? {
        guard let entries = item.entries() else { return nil }
        let headers = entries.map { entry -> (name: String, value: String)? in
            guard let value = entry.value.scalar else {
                entry.value.error("expected text, found \(entry.value.found)")
                return nil
            }
            return (entry.key, value)
        }
        return headers.contains { $0 == nil } ? nil : headers.compactMap { $0 }
    }

    private func expectation(_ item: Item) -> PolicyCase.Expectation? {
        let keys = [
            "outcome", "region", "policy", "consent", "purposes", "signals", "fields",
            "retain_days",
            "sample_rate",
        ]
        guard let section = Section(item, keys: keys) else { return nil }
        var expect = PolicyCase.Expectation()
        expect.outcome = word(
            section["outcome"], ["keep", "count", "drop", "refuse"], "an outcome")
        expect.region = word(section["region"], regions + ["none"], "a region")
        expect.policy = word(section["policy"], policies, "a policy")
        expect.consent = word(
            section["consent"], ConsentState.allCases.map(\.text), "a consent state")
        expect.purposes = section["purposes"]?.texts()?.map(\.text).sorted()
        expect.signals = section["signals"]?.texts()?.map(\.text).sorted()
        for entry in section["fields"]?.entries() ?? [] {
            if FieldName(rawValue: entry.key) == nil {
                problems.error(
                    entry.keyPosition,
                    "unknown field `\(entry.key)`"
                        + Spelling.suggestion(entry.key, among: FieldName.allCases.map(\.rawValue)))
            }
            if let action = entry.value.text() { expect.fields[entry.key] = action }
        }
        expect.retainDays = section["retain_days"]?.integer(in: 0...Item.daysMax)
        expect.sampleRate = section["sample_rate"]?.text().flatMap { Double($0) }.map { "\($0)" }
        if let item = section["sample_rate"], item.scalar != nil, expect.sampleRate == nil {
            item.error("expected a number from 0 to 1, found \(item.found)")
        }
        return expect
    }

    private func word(_ item: Item?, _ words: [String], _ kind: String) -> String? {
        guard let item, let text = item.text() else { return nil }
        guard words.contains(text) else {
            item.error(
                "expected \(kind), found `\(text)`" + Spelling.suggestion(text, among: words))
            return nil
        }
        return text
    }
}
