package import CordonModel

/// One checked policy with every name resolved: what the decision table, explanations and queries are made from.
package struct CompiledPolicy: Equatable, Sendable {
    package var name: String
    package var title: String
    /// The law or decision that it carries out.
    package var source: String
    /// Where the policy's name stands.
    package var position: FilePosition
    package var claims: [Claim]
    package var sites: [SitePattern]
    package var route: Route
    package var consent: ConsentRule
    package var fields: FieldRules
    package var retention: Retention
    package var sampling: Sampling
    package var access: [AccessRule]
    package var transfer: [TransferRule]

    package init(
        name: String, title: String, source: String, position: FilePosition, claims: [Claim],
        sites: [SitePattern], route: Route, consent: ConsentRule, fields: FieldRules,
        retention: Retention, sampling: Sampling, access: [AccessRule], transfer: [TransferRule]
    ) {
        self.name = name
        self.title = title
        self.source = source
        self.position = position
        self.claims = claims
        self.sites = sites
        self.route = route
        self.consent = consent
        self.fields = fields
        self.retention = retention
        self.sampling = sampling
        self.access = access
        self.transfer = transfer
    }

    /// One entry of `applies_to.places`.
    package struct Claim: Equatable, Sendable {
        /// As written: an ISO 3166 code, a group of the atlas, or `world`.
        package var text: String
        package var level: Level
        /// The codes it stands for; empty for `world`.
        package var codes: Set<String>
        package var position: FilePosition

        package init(text: String, level: Level, codes: Set<String>, position: FilePosition) {
            self.text = text
            self.level = level
            self.codes = codes
            self.position = position
        }
    }

    /// How closely a claim names a place; the closest one decides.
    package enum Level: Int, Comparable, Sendable {
        case world, group, country, subdivision
        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    package struct Route: Equatable, Sendable {
        /// The home region's name; nil refuses every hit.
        package var region: String?
        /// Where regions may stand that rows are moved to when a later geo table makes them the home; nil where the rows
        /// stay in the jurisdiction of their home.
        package var relocate: PlaceSet?
        package var position: FilePosition
        package init(region: String?, relocate: PlaceSet? = nil, position: FilePosition) {
            self.region = region
            self.relocate = relocate
            self.position = position
        }
    }

    package struct ConsentRule: Equatable, Sendable {
        package enum Denied: String, CaseIterable, Sendable { case count, drop, keep }

        package var signals: [ConsentSignal]
        /// Whether silence gives every purpose.
        package var absentGrants: Bool
        package var purposes: [String]
        /// What purposes stand for in consent strings; a purpose without an entry has the defaults.
        package var meanings: [String: CompiledPolicy.Meaning]
        /// Longest age of a TC string in days; nil when any age is good.
        package var maxAgeDays: Int?
        package var denied: Denied
        package var position: FilePosition
        /// Where `when_absent` stands.
        package var absentPosition: FilePosition
        /// Where `denied` stands.
        package var deniedPosition: FilePosition

        package init(
            signals: [ConsentSignal], absentGrants: Bool, purposes: [String],
            meanings: [String: CompiledPolicy.Meaning] = [:], maxAgeDays: Int? = nil,
            denied: Denied,
            position: FilePosition, absentPosition: FilePosition, deniedPosition: FilePosition
        ) {
            self.meanings = meanings
            self.maxAgeDays = maxAgeDays
            self.signals = signals
            self.absentGrants = absentGrants
            self.purposes = purposes
            self.denied = denied
            self.position = position
            self.absentPosition = absentPosition
            self.deniedPosition = deniedPosition
        }
    }

    /// What one purpose stands for in consent strings.
    package struct Meaning: Equatable, Sendable {
        package enum Basis: String, CaseIterable, Sendable {
            case consent
            case legitimateInterest = "legitimate-interest"
            case either
        }

        /// On whose behalf a TC string is read.
        package enum Holder: Equatable, Sendable {
            case anyone, publisher
            /// An id of the Global Vendor List.
            case vendor(UInt16)

            var text: String {
                switch self {
                case .anyone: ""
                case .publisher: "publisher"
                case .vendor(let id): "\(id)"
                }
            }
        }

        /// Purposes of the TCF, sorted; all must be granted.
        package var tcf: [Int] = []
        /// Special features of the TCF, sorted; all must be opted in to.
        package var specialFeatures: [Int] = []
        package var basis = Basis.consent
        package var holder = Holder.anyone
        /// Opt-outs of United States law that end the purpose, sorted.
        package var optOuts = Self.optOutsDefault
        /// Signals of Google's consent mode, sorted; all must be granted.
        package var mode: [String] = []
        /// How long what is kept for the purpose serves it, in days; nil when nothing is stated. It decides nothing: `cordon check`
        /// holds ages against it.
        package var lastsDays: Int?

        package init() {}

        /// Whoever opts out of one of these is taken to refuse a purpose that says nothing else.
        package static let optOutsDefault = ["sale", "sharing", "targeted-advertising"]
    }

    /// How each field is kept; a field without a rule is dropped.
    package struct FieldRules: Equatable, Sendable {
        /// A way of keeping, and what it needs.
        package struct Rule<Keeping: Equatable & Sendable>: Equatable, Sendable {
            package var keeping: Keeping
            /// Purposes that must all be granted.
            package var needs: [String]
            package var position: FilePosition
            package init(_ keeping: Keeping, needs: [String], position: FilePosition) {
                self.keeping = keeping
                self.needs = needs
                self.position = position
            }
        }

        package struct AddressBits: Equatable, Sendable {
            package var ipv4: UInt8
            package var ipv6: UInt8
            package init(ipv4: UInt8, ipv6: UInt8) {
                self.ipv4 = ipv4
                self.ipv6 = ipv6
            }
        }

        package struct PageDetail: Equatable, Sendable {
            package var detail: Decision.Page
            /// Sorted.
            package var parameters: [String]
            package init(detail: Decision.Page, parameters: [String]) {
                self.detail = detail
                self.parameters = parameters
            }
        }

        /// That the field is kept in its one form.
        package struct Kept: Equatable, Sendable {
            package init() {}
        }

        /// Where `fields` stands.
        package var position: FilePosition
        package var ip: Rule<AddressBits>?
        package var user: Rule<KeyPeriod>?
        package var visitor: Rule<KeyPeriod>?
        package var userAgent: Rule<Kept>?
        package var page: Rule<PageDetail>?
        package var referrer: Rule<Kept>?
        package var place: Rule<Decision.Place>?
        package var language: Rule<Kept>?
        /// Names sorted.
        package var parameters: Rule<[String]>?
        /// Where the rule of a field that is dropped in so many words stands.
        package var dropped: [FieldName: FilePosition] = [:]

        package init(position: FilePosition) { self.position = position }
    }

    package struct Retention: Equatable, Sendable {
        package var hitsDays: Int
        /// Fields that go before the hit does.
        package var fieldDays: [FieldName: Int]
        /// The preset that the policy names; its ages are among those above, or they are shorter.
        package var preset: RetentionPreset?
        package var position: FilePosition
        package init(
            hitsDays: Int, fieldDays: [FieldName: Int], preset: RetentionPreset? = nil,
            position: FilePosition
        ) {
            self.hitsDays = hitsDays
            self.fieldDays = fieldDays
            self.preset = preset
            self.position = position
        }
    }

    package struct Sampling: Equatable, Sendable {
        package var perMillion: UInt32
        package var position: FilePosition
        package init(perMillion: UInt32, position: FilePosition) {
            self.perMillion = perMillion
            self.position = position
        }
    }
}

/// A field of `fields`, and the columns of the record that it fills.
package enum FieldName: String, CaseIterable, Comparable, Sendable {
    case ip, user, visitor
    case userAgent = "user_agent"
    case page, referrer, place, language
    case parameters = "params"

    package var columns: [String] {
        switch self {
        case .ip: ["ip_prefix"]
        case .user: ["user"]
        case .visitor: ["visitor"]
        case .userAgent: ["browser", "os", "device"]
        case .page: ["page_host", "page_path"]
        case .referrer: ["referrer_host"]
        case .place: ["country", "subdivision"]
        case .language: ["language"]
        case .parameters: ["params"]
        }
    }

    package static func < (left: FieldName, right: FieldName) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One source of consent.
package enum ConsentSignal: Hashable, Sendable {
    case gpc
    case dnt
    case tcf
    case gpp
    /// `us_privacy`.
    case usp
    /// Google's consent mode.
    case gcm
    case parameter(String)
    case cookie(String)

    /// As policies write it and the column `signals` holds it.
    package var text: String {
        switch self {
        case .gpc: "gpc"
        case .dnt: "dnt"
        case .tcf: "tcf"
        case .gpp: "gpp"
        case .usp: "usp"
        case .gcm: "gcm"
        case .parameter(let name): "param:\(name)"
        case .cookie(let name): "cookie:\(name)"
        }
    }
}

/// What a role may see of the rows that a policy admitted.
package struct AccessRule: Equatable, Sendable {
    package enum Sight: String, CaseIterable, Sendable { case rows, aggregates }
    /// What becomes of groups of too few people.
    package enum SmallGroups: String, CaseIterable, Sendable {
        /// They are left out.
        case suppress
        /// They are put together to one group, shown where that has enough people.
        case other
    }

    /// Noise on counts and sums, so that an answer tells little of anybody's being in it.
    package struct Noise: Hashable, Sendable {
        package enum Period: String, CaseIterable, Sendable {
            case day, week, month
            package var days: Int {
                switch self {
                case .day: 1
                case .week: 7
                case .month: 30
                }
            }
        }

        /// Of each count and sum, in ten-thousandths.
        package var epsilon: Int
        /// What all of a period may come to, in ten-thousandths.
        package var budget: Int
        package var per: Period
        /// Most hits of one person that an answer is of.
        package var rows: Int
        /// Most that one hit adds to a sum, up or down; nil where nothing may be summed.
        package var value: Int?

        package init(epsilon: Int, budget: Int, per: Period, rows: Int, value: Int? = nil) {
            self.epsilon = epsilon
            self.budget = budget
            self.per = per
            self.rows = rows
            self.value = value
        }

        /// `0.5`, `12`: ten-thousandths as people write them.
        package static func text(_ number: Int) -> String {
            let rest = String(number % 10_000 + 10_000).dropFirst()
            let decimals = String(rest.reversed().drop { $0 == "0" }.reversed())
            return "\(number / 10_000)" + (decimals.isEmpty ? "" : "." + decimals)
        }
    }

    package var role: String
    package var purposes: [String]
    /// From where the principal may ask.
    package var from: PlaceSet
    package var see: Sight
    /// Least number of people in a group; 1 when rows may be seen.
    package var minGroup: Int
    package var smallGroups: SmallGroups
    package var noise: Noise?
    /// Columns that read as null.
    package var hide: [String]
    package var position: FilePosition

    package init(
        role: String, purposes: [String], from: PlaceSet, see: Sight, minGroup: Int,
        smallGroups: SmallGroups = .suppress, noise: Noise? = nil, hide: [String],
        position: FilePosition
    ) {
        self.role = role
        self.purposes = purposes
        self.from = from
        self.see = see
        self.minGroup = minGroup
        self.smallGroups = smallGroups
        self.noise = noise
        self.hide = hide
        self.position = position
    }
}

/// What may leave a policy's rows towards principals who ask from elsewhere: aggregates, never rows.
package struct TransferRule: Equatable, Sendable {
    package var to: PlaceSet
    package var minGroup: Int
    package var position: FilePosition

    package init(to: PlaceSet, minGroup: Int, position: FilePosition) {
        self.to = to
        self.minGroup = minGroup
        self.position = position
    }

    package var see: AccessRule.Sight { .aggregates }
}

/// Places named by codes and groups.
package struct PlaceSet: Equatable, Sendable {
    /// As written.
    package var names: [String]
    /// What they stand for.
    package var codes: Set<String>
    package var isWorld: Bool

    package init(names: [String], codes: Set<String>, isWorld: Bool) {
        self.names = names
        self.codes = codes
        self.isWorld = isWorld
    }

    /// Whether `place` (`DE`, `US-CA`), or the country that it lies in, is one of them.
    package func contains(_ place: String) -> Bool {
        isWorld || PlaceCode.holds(codes, place)
    }

    /// Whether each of its places is one of the other's, or lies in one.
    package func isWithin(_ other: PlaceSet) -> Bool {
        other.isWorld || !isWorld && codes.allSatisfy(other.contains)
    }
}
