internal import CordonModel
internal import CordonPolicy

/// Who may see what under two lists of rules, compared grant by grant.
///
/// A rule is taken apart into grants of one role, purpose and place each, so that splitting a rule in two changes nothing.
/// A grant is covered when one grant of the other list shows as much to the same role and purpose from a place that holds its own.
struct AccessComparison {
    let strictness: Strictness
    /// What only the old list grants, and what only the new one does, in words; "as before" where nothing.
    let old: String
    let new: String

    private struct Grant: Hashable {
        var role: String
        var purpose: String
        /// A code, or `world`.
        var place: String
        var seesRows: Bool
        var minGroup: Int
        /// Whether smaller groups are shown as one.
        var showsOther = false
        var noise: AccessRule.Noise?
        var hidden: Set<String>

        func covers(_ other: Grant) -> Bool {
            role == other.role && purpose == other.purpose
                && (place == "world" || PlaceCode.holds([place], other.place))
                && (seesRows || !other.seesRows) && minGroup <= other.minGroup
                && (seesRows || showsOther || !other.showsOther)
                && (seesRows || noise == nil || noise == other.noise)
                && hidden.isSubset(of: other.hidden)
        }

        /// Without the place, for people.
        var text: String {
            let sight =
                seesRows
                ? "rows"
                : "aggregates of \(minGroup)" + (showsOther ? " with the rest" : "")
                    + (noise.map { " with noise of epsilon \(AccessRule.Noise.text($0.epsilon))" }
                        ?? "")
            let who = role.isEmpty ? "" : "\(role) for \(purpose): "
            let rest = hidden.isEmpty ? "" : " without \(hidden.sorted().joined(separator: ", "))"
            return who + sight + rest
        }
    }

    init(_ old: [AccessRule], _ new: [AccessRule]) {
        func grants(_ rules: [AccessRule]) -> [Grant] {
            rules.flatMap { rule in
                rule.purposes.flatMap { purpose in
                    Self.places(rule.from).map { place in
                        Grant(
                            role: rule.role, purpose: purpose, place: place,
                            seesRows: rule.see == .rows, minGroup: rule.minGroup,
                            showsOther: rule.smallGroups == .other, noise: rule.noise,
                            hidden: Set(rule.hide))
                    }
                }
            }
        }
        self.init(grants(old), grants(new))
    }

    init(_ old: [TransferRule], _ new: [TransferRule]) {
        func grants(_ rules: [TransferRule]) -> [Grant] {
            rules.flatMap { rule in
                Self.places(rule.to).map { place in
                    Grant(
                        role: "", purpose: "", place: place, seesRows: false,
                        minGroup: rule.minGroup, hidden: [])
                }
            }
        }
        self.init(grants(old), grants(new))
    }

    private init(_ old: [Grant], _ new: [Grant]) {
        let lost = Set(old).subtracting(new).filter { grant in
            !new.contains { $0.covers(grant) }
        }
        let gained = Set(new).subtracting(old).filter { grant in
            !old.contains { $0.covers(grant) }
        }
        strictness =
            lost.isEmpty ? gained.isEmpty ? .equal : .looser : gained.isEmpty ? .stricter : .mixed
        self.old = Self.text(lost)
        self.new = Self.text(gained)
    }

    private static func places(_ set: PlaceSet) -> [String] {
        set.isWorld ? ["world"] : set.codes.sorted()
    }

    private static func text(_ grants: Set<Grant>) -> String {
        let places = Dictionary(grouping: grants, by: \.text).mapValues { $0.map(\.place).sorted() }
        let texts = places.sorted { $0.key < $1.key }.map { text, places in
            let shown = places.prefix(4).joined(separator: " ")
            return
                "\(text) (from \(shown)\(places.count > 4 ? " and \(places.count - 4) more" : ""))"
        }
        return texts.isEmpty ? "as before" : texts.joined(separator: "; ")
    }
}
