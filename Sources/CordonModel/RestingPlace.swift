/// Every place where something of a hit can come to rest.
///
/// Whatever writes such a thing says so by naming its places (``RestingWriter``); a test holds every file of the code that writes
/// against that, and another one looks into each of these places before and after a person is erased. A raw address, id, user
/// agent or URL rests in none of them (promise P1).
package enum RestingPlace: String, CaseIterable, Sendable {
    /// Batches that the collector has just written.
    case intake
    /// Batches that wait for delivery.
    case journal
    /// Counts of hits by minute, policy and fate.
    case ledger
    /// Digests of those whose hits are not to be kept any more, and their pseudonyms while a request runs.
    case suppression
    case dataFiles = "data files"
    /// Filters of who may be in each data file.
    case personIndex = "person index"
    /// What the lake's engine cannot hold in memory while it delivers or rewrites.
    case scratch = "lake scratch"
    /// Bounds and partition values of data files, and the table's metadata.
    case manifests
    /// Batches that could not be delivered.
    case deadLetters = "dead letters"
    /// Hits that were moved out of the lake and that the journal of another region does not have yet.
    case outgoing = "outgoing hits"
    /// Requests of persons on their way, with their pseudonyms masked.
    case requests
    /// Keys of persons, by which sealed columns are opened.
    case subjectKeys = "subject keys"
    /// Keyed digests of those who were erased, so that a backup does not bring them back.
    case erasedLedger = "erased ledger"
    case audit
    /// Certificates of erasures, and evidence for auditors.
    case certificates
    /// What was handed to a person who asked.
    case exports
    /// What was handed to a principal who asked.
    case queryResults = "query results"

    /// Where it lies; `R` is the region's name, `LAKE`, `CATALOG` and `KEYS` are as its file says.
    package var path: String {
        switch self {
        case .intake: "var/R/journal.intake"
        case .journal, .ledger, .suppression: "var/R/journal.sqlite"
        case .dataFiles: "LAKE/pixels/hits/data"
        case .personIndex: "var/R/lake-index"
        case .scratch: "var/R/lake-scratch"
        case .manifests: "LAKE/pixels/hits/metadata"
        case .deadLetters, .outgoing: "CATALOG"
        case .requests: "var/R/requests.sqlite"
        case .subjectKeys: "KEYS/subject-keys.sqlite"
        case .erasedLedger: "var/R/erased.ledger"
        case .audit: "var/R/audit"
        case .certificates: "var/R/certificates"
        case .exports: "where `subject export --out` says"
        case .queryResults:
            "where `query --out` says, clients of the service and their own tables; var/R/query-scratch meanwhile"
        }
    }

    /// What an erasure does there.
    package var erasure: String {
        switch self {
        case .intake: "taken into the journal, then overwritten with zeros"
        case .journal: "hits of the person are taken out of their batches"
        case .ledger: "nothing: counts name no one"
        case .suppression:
            "the person's digest is added for good, and pseudonyms until the request is done"
        case .dataFiles:
            "files with rows of the person are written anew without them, and the old ones deleted"
        case .personIndex:
            "made anew with the data files; the filter of a file goes before the file"
        case .scratch: "emptied when the work is done, and before the next begins"
        case .manifests: "written anew with the data files; older ones are deleted"
        case .deadLetters: "batches that hold the person go whole"
        case .outgoing: "nothing: they have left their pseudonyms behind"
        case .requests: "pseudonyms are masked while the request runs and deleted at its end"
        case .subjectKeys: "the person's keys are destroyed before anything else goes"
        case .erasedLedger: "keyed digests of the person's id and pseudonyms are added for good"
        case .audit: "nothing: entries name a person by a keyed digest at most"
        case .certificates: "one is made: it names the person by a keyed digest"
        case .exports, .queryResults: "nothing: they are in the hands of whoever asked"
        }
    }

    /// What ends the stay there when nobody asks.
    package var end: String {
        switch self {
        case .intake, .journal: "delivery, within seconds"
        case .ledger: "the minute's report to the audit log"
        case .suppression: "pseudonyms: the end of the request; digests: never"
        case .dataFiles, .personIndex, .manifests: "the sweep after the row's `retain_until`"
        case .scratch: "the end of the delivery or rewriting"
        case .deadLetters: "the same sweep"
        case .outgoing: "the end of `relocate`, or the next sweep"
        case .requests: "the end of the request"
        case .subjectKeys:
            "the sweep after the last hit's `retain_until`, or the destruction of the pseudonyms' keys"
        case .certificates, .erasedLedger: "never"
        case .audit: "never: nobody can take an entry out unseen"
        case .exports, .queryResults: "whoever asked"
        }
    }

    /// Whether a pseudonym of a person is still there after an erasure.
    package var outlivesErasure: Bool {
        switch self {
        case .exports, .queryResults: true
        case .intake, .journal, .ledger, .suppression, .dataFiles, .personIndex, .scratch,
            .manifests,
            .deadLetters,
            .outgoing, .requests, .subjectKeys, .erasedLedger, .audit, .certificates:
            false
        }
    }
}

/// That columns of the record, in whatever form, can come to rest at a place.
package struct Rest: Sendable {
    package let place: RestingPlace
    package let columns: Set<String>

    package init(_ place: RestingPlace, _ columns: Set<String>) {
        self.place = place
        self.columns = columns
    }
}

/// Code that writes something of a hit; each of its files names what it writes where.
package protocol RestingWriter {
    static var rests: [Rest] { get }
}

extension HitBatch {
    /// The columns that a batch brings to wherever its bytes come to rest: all of the table.
    package static let columns: Set<String> = [
        "hit_id", "ts", "site", "event", "page_host", "page_path", "referrer_host", "visitor",
        "user",
        "key_epoch", "ip_prefix", "country", "subdivision", "browser", "os", "device", "language",
        "consent", "purposes", "signals", "bot", "policy", "rule_set", "geo_build", "sample_rate",
        "retain_until", "params",
    ]
}
