internal import Bytes
package import CordonModel
internal import Crypto
internal import YAML

/// Dated groups of places, and dated presets of retention, from `Policies/atlas.yaml`.
package struct Atlas: Equatable, Sendable {
    package struct Group: Equatable, Sendable {
        package var name: String
        package var title: String
        package var source: String
        /// The day on which the members were last held against the source.
        package var checked: Day
        /// All codes in the group, those of groups in it included.
        package var codes: Set<String>
        /// Codes of the places whose data may go to the members without more.
        package var adequateFor: Set<String> = []
        package var position: FilePosition
    }

    package private(set) var groups: [String: Group]
    package private(set) var retentionPresets: [String: RetentionPreset] = [:]
    /// Whether the whole file could be read; if not, names that it may hold are not called unknown.
    private(set) var isWhole = true

    /// Whether `place` (`DE`, `US-CA`), or the country that it lies in, is in the group.
    package func contains(group: String, place: String) -> Bool {
        groups[group].map { PlaceCode.holds($0.codes, place) } ?? false
    }

    static let empty = Atlas(groups: [:])
    static let unread = Atlas(groups: [:], isWhole: false)
}

/// What a place's name in a policy stands for.
enum PlaceName {
    case world
    case group(Set<String>)
    case country
    case subdivision
}

extension Atlas {
    /// What `name` stands for, or the mistake in it.
    func resolve(_ name: String) -> Result<PlaceName, PlaceMistake> {
        if name == "world" { return .success(.world) }
        if let group = groups[name] { return .success(.group(group.codes)) }
        switch PlaceCode.shape(of: name) {
        case .country where PlaceCode.countries.contains(name): return .success(.country)
        case .subdivision:
            let country = String(name.prefix(2))
            let part = String(name.dropFirst(3))
            guard PlaceCode.countries.contains(country) else {
                return .failure(.init(text: "`\(name)` is in no country of ISO 3166-1"))
            }
            guard let parts = PlaceCode.subdivisions[country], !parts.contains(part) else {
                return .success(.subdivision)
            }
            return .failure(.init(text: "`\(name)` is no subdivision of ISO 3166-2"))
        default:
            if !isWhole { return .success(.group([])) }
            let known = Array(groups.keys) + ["world"]
            // Two letters are near every other two letters, so only names of some length get a suggestion.
            let suggestion =
                name.utf8.count > 2 ? Spelling.suggestion(name, among: known) : ""
            return .failure(
                .init(
                    text:
                        "unknown place `\(name)`: neither an ISO 3166 code nor a group of the atlas"
                        + suggestion))
        }
    }
}

struct PlaceMistake: Error {
    let text: String
}

/// Reads the atlas and finds what is doubtful in it.
struct AtlasReader {
    let problems: ProblemList
    let today: Day

    private struct Draft {
        var group: Atlas.Group
        var members: [(text: String, item: Item)]
        var adequateFor: [(text: String, item: Item)]
        var digest: Item?
        var changes: [Change]
        var checked: Item?
    }

    /// Who came into a group or left it on a day.
    private struct Change {
        var day: Day
        var joins: [String]
        var leaves: [String]
        var position: FilePosition
    }

    func read(_ item: Item) -> Atlas {
        guard let root = Section(item, keys: ["groups", "retention_presets"]),
            let entries = root.required("groups")?.entries()
        else { return .unread }
        var presets: [String: RetentionPreset] = [:]
        for entry in root["retention_presets"]?.entries() ?? [] {
            if !Item.isName(entry.key) {
                problems.error(
                    entry.keyPosition,
                    "expected a preset's name of 1 to 40 lowercase letters, digits and hyphens, found `\(entry.key)`"
                )
            }
            presets[entry.key] = preset(entry.key, entry.value)
        }
        var drafts: [String: Draft] = [:]
        for entry in entries {
            drafts[entry.key] = draft(entry.key, entry.keyPosition, entry.value)
        }
        var resolved: [String: Set<String>] = [:]
        for name in drafts.keys.sorted() {
            var path: [String] = []
            _ = codes(of: name, drafts, &resolved, &path)
        }
        lintTerritories(resolved, at: item.position)
        for draft in drafts.values { lintChanges(draft, resolved[draft.group.name] ?? []) }
        return Atlas(
            groups: drafts.mapValues { draft in
                var group = draft.group
                group.codes = resolved[group.name] ?? []
                for (text, item) in draft.adequateFor {
                    if let codes = resolved[text] {
                        group.adequateFor.formUnion(codes)
                    } else if isPlace(text) {
                        group.adequateFor.insert(text)
                    } else {
                        item.error(
                            "unknown place `\(text)`: neither an ISO 3166 code nor a group"
                                + Spelling.suggestion(text, among: drafts.keys))
                    }
                }
                return group
            }, retentionPresets: presets)
    }

    private func preset(_ name: String, _ item: Item) -> RetentionPreset? {
        guard
            let section = Section(item, keys: ["title", "source", "checked", "hits", "fields"])
        else { return nil }
        let title = section.required("title")?.text()
        let source = section.required("source")?.text()
        let checked = section.required("checked").flatMap(day)
        let hits = section.required("hits")?.days()
        let ages = section["fields"].map { $0.ages(within: hits) } ?? [:]
        guard let title, let source, let checked, let hits else { return nil }
        return RetentionPreset(
            name: name, title: title, source: source, checked: checked, hitsDays: hits,
            fieldDays: ages.mapValues { $0.days })
    }

    private func draft(_ name: String, _ position: FilePosition, _ item: Item) -> Draft {
        let isTaken =
            PlaceCode.countries.contains(name) || PlaceCode.shape(of: name) == .subdivision
            || name == "world"
        if isTaken {
            problems.error(position, "`\(name)` is a place of its own and cannot name a group")
        } else if !(2...40).contains(name.utf8.count) || !name.utf8.allSatisfy(Self.isNameUnit) {
            problems.error(
                position,
                "expected a group's name of 2 to 40 letters, digits and hyphens, found `\(name)`")
        }
        let section = Section(
            item,
            keys: ["title", "source", "checked", "members", "adequate_for", "digest", "changes"])
        let title = section?.required("title")?.text()
        let source = section?.required("source")?.text()
        let checked = section?.required("checked").flatMap(day)
        let members = section?.required("members")?.texts()
        if let members, members.isEmpty {
            problems.warn(.emptyGroup, position, "group `\(name)` has no member")
        }
        let adequateFor = section?["adequate_for"]?.texts() ?? []
        let changes = section?["changes"]?.list()?.compactMap(change) ?? []
        // What is missing was noted, and then nothing comes of this atlas but better messages.
        let group = Atlas.Group(
            name: name, title: title ?? "", source: source ?? "", checked: checked ?? today,
            codes: [], position: position)
        return Draft(
            group: group, members: members ?? [], adequateFor: adequateFor,
            digest: section?["digest"], changes: changes, checked: section?["checked"])
    }

    private func change(_ item: Item) -> Change? {
        guard let section = Section(item, keys: ["date", "joins", "leaves", "source"]) else {
            return nil
        }
        _ = section.required("source")?.text()
        let joins = section["joins"].map { $0.texts() ?? [] } ?? []
        let leaves = section["leaves"].map { $0.texts() ?? [] } ?? []
        if joins.isEmpty, leaves.isEmpty { item.error("expected `joins` or `leaves`") }
        for (text, item) in joins + leaves where !isPlace(text) {
            item.error("expected an ISO 3166 code, found `\(text)`")
        }
        guard let on = section.required("date") else { return nil }
        guard let day = on.scalar.flatMap({ Day($0) }) else {
            on.error("expected a day such as `2026-11-23`, found \(on.found)")
            return nil
        }
        return Change(
            day: day, joins: joins.map(\.text), leaves: leaves.map(\.text),
            position: item.position)
    }

    /// What the digest of a group stands for: its codes, and the day on which they were checked.
    private static func digest(_ codes: Set<String>, checked: String) -> String {
        let text = checked + "\n" + codes.sorted().joined(separator: " ")
        return String(Bytes.hex(SHA256.hash(Array(text.utf8))).prefix(digestLength))
    }

    /// Hexadecimal digits of a group's digest: 48 bits find every slip, and nobody has a reason to forge one.
    private static let digestLength = 12

    /// Members that are not those of the day of the check, and dated changes that nobody carried out.
    private func lintChanges(_ draft: Draft, _ codes: Set<String>) {
        guard let checked = draft.checked?.scalar else { return }
        let name = draft.group.name
        if let item = draft.digest, let found = item.text() {
            let digest = Self.digest(codes, checked: checked)
            if found != digest {
                problems.warn(
                    .changedGroup, item.position,
                    "group `\(name)` is not as it was checked on \(checked): hold its members against the source, "
                        + "set `checked` to that day, and then `digest` to what this line proposes, now `\(digest)`"
                )
            }
        }
        var latest: [String: (change: Change, joins: Bool)] = [:]
        for change in draft.changes.sorted(by: { $0.day < $1.day }) {
            guard change.day <= today else { continue }
            if change.day > draft.group.checked {
                problems.warn(
                    .changedGroup, change.position,
                    "group `\(name)` changed after it was last checked on \(checked): hold its members against the "
                        + "source and set `checked`")
            }
            for code in change.joins { latest[code] = (change, true) }
            for code in change.leaves { latest[code] = (change, false) }
        }
        for (code, (change, joins)) in latest where codes.contains(code) != joins {
            problems.warn(
                .changedGroup, change.position,
                joins
                    ? "`\(code)` joined group `\(name)` and is not among its members"
                    : "`\(code)` left group `\(name)` and is still among its members")
        }
        for change in draft.changes where change.day > today {
            for code in change.joins where codes.contains(code) {
                problems.warn(
                    .changedGroup, change.position,
                    "`\(code)` is among the members of group `\(name)` before the day on which it joins"
                )
            }
        }
    }

    private static func isNameUnit(_ unit: UInt8) -> Bool {
        (0x61...0x7A).contains(unit) || (0x41...0x5A).contains(unit)
            || (0x30...0x39).contains(unit) || unit == 0x2D
    }

    private func day(_ item: Item) -> Day? {
        guard let text = item.scalar, let day = Day(text) else {
            item.error("expected a day such as `2026-11-23`, found \(item.found)")
            return nil
        }
        if today - day > Self.checkedDaysMax {
            problems.warn(
                .uncheckedGroup, item.position, "last checked on \(text), more than a year ago")
        }
        if day > today { problems.warn(.uncheckedGroup, item.position, "\(text) is still to come") }
        return day
    }

    /// Age in days from which a group's members are to be held against their source again.
    private static let checkedDaysMax = 366

    /// All codes of a group; follows groups in it and notes cycles.
    private func codes(
        of name: String, _ drafts: [String: Draft], _ resolved: inout [String: Set<String>],
        _ path: inout [String]
    ) -> Set<String> {
        if let known = resolved[name] { return known }
        guard let draft = drafts[name] else { return [] }
        path.append(name)
        defer { path.removeLast() }
        var codes: Set<String> = []
        for member in draft.members {
            if drafts[member.text] != nil {
                if let start = path.firstIndex(of: member.text) {
                    let cycle = (path[start...] + [member.text]).map { "`\($0)`" }
                    member.item.error("groups form a circle: \(cycle.joined(separator: " in "))")
                    continue
                }
                add(self.codes(of: member.text, drafts, &resolved, &path), member, &codes)
            } else if isPlace(member.text) {
                add([member.text], member, &codes)
            } else {
                let suggestion =
                    member.text.utf8.count > 2
                    ? Spelling.suggestion(member.text, among: drafts.keys) : ""
                member.item.error(
                    "unknown member `\(member.text)`: neither an ISO 3166 code nor a group"
                        + suggestion)
            }
        }
        resolved[name] = codes
        return codes
    }

    private func add(
        _ more: Set<String>, _ member: (text: String, item: Item), _ codes: inout Set<String>
    ) {
        let twice = codes.intersection(more).sorted()
        if !twice.isEmpty {
            let list = twice.map { "`\($0)`" }.joined(separator: ", ")
            problems.warn(.repeatedMember, member.item.position, "\(list) is in the group already")
        }
        codes.formUnion(more)
    }

    private func isPlace(_ text: String) -> Bool {
        switch Atlas.empty.resolve(text) {
        case .success(.country), .success(.subdivision): true
        default: false
        }
    }

    /// A territory with a code of its own follows its country's law or does not, which a group must say.
    private func lintTerritories(_ groups: [String: Set<String>], at position: FilePosition) {
        let grouped = groups.values.reduce(into: Set<String>()) { $0.formUnion($1) }
        for (country, territories) in PlaceCode.territories where grouped.contains(country) {
            for territory in territories where !grouped.contains(territory) {
                problems.warn(
                    .ungroupedTerritory, position,
                    "`\(territory)` is in no group, though `\(country)`, which it belongs to, is")
            }
        }
    }
}
