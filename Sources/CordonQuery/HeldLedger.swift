internal import CordonModel
internal import CordonPolicy

/// The ledger of a region for one question of a principal who sees groups.
struct HeldLedger {
    /// The table that there is.
    private static let table = "pixels.hits"

    private let ledger: QueryLedger
    private let region: String
    private let asker: String
    private let now: Timestamp
    /// What the child's numbers of rows and people are salted with.
    let salt: UInt64

    init(_ region: any QueryRegion, _ request: QueryRequest, _ now: Timestamp) throws {
        self.now = now
        self.region = region.name
        asker = region.asker(request.principal)
        do {
            ledger = try region.ledger()
            salt = try ledger.salt()
        } catch {
            throw Self.unusable(region.name, error)
        }
    }

    /// What fails closed: nothing is shown that is not held against what was shown before.
    private static func unusable(_ region: String, _ error: any Error) -> QueryError {
        QueryError(
            code: .world,
            text:
                "the ledger of answers of region `\(region)` cannot be used, so nothing is shown: \(error)"
        )
    }

    func horizons(most: Int) throws -> [Timestamp?] {
        do {
            return try ledger.horizons(of: asker, table: Self.table, at: now, most: most)
        } catch {
            throw Self.unusable(region, error)
        }
    }

    /// Whether the question was answered over the same rows and proven then; nil when it was not answered.
    func known(_ question: [UInt8]) throws -> Bool? {
        do {
            return try ledger.known(question, of: asker, table: Self.table, at: now)
        } catch {
            throw Self.unusable(region, error)
        }
    }

    /// What an answer tells of people.
    enum Told {
        /// What an answer told that is in the ledger.
        case again
        /// It has too many groups.
        case tooMuch
        case vectors([AnswerVector], newest: Timestamp?, QueryLedger.Question?)
    }

    /// Enters what an answer tells; or why the answer may not be shown.
    func refusal(to told: Told, _ access: Access, epsilon: Int) throws -> Refusal? {
        let spending = access.noise.map {
            QueryLedger.Spending(epsilon: epsilon, budget: $0.budget, days: $0.per.days)
        }
        let entry: QueryLedger.Entry
        do {
            switch told {
            case .again:
                entry = try ledger.enterAgain(
                    spending, of: asker, table: Self.table, at: now)
            case .tooMuch: entry = .refused(.tooMany)
            case .vectors(let vectors, let newest, let question):
                entry = try ledger.enter(
                    vectors, of: asker, table: Self.table, at: now, horizon: newest,
                    spending: spending, question: question)
            }
        } catch {
            throw Self.unusable(region, error)
        }
        let text: String
        var rule = "differencing"
        switch entry {
        case .entered: return nil
        case .refused(.safe): preconditionFailure("what is safe is entered")
        case .refused(.tooMany):
            text =
                "the answer has too many groups to be held against earlier answers; group more coarsely"
        case .refused(.singlesOut(let time?)):
            text =
                "beside earlier answers, such as that of \(Timestamp(microseconds: time).text), this one would single out fewer; ask what was asked then, or for larger groups"
        case .refused(.singlesOut(nil)):
            text =
                "values of this answer put together would single out fewer; ask for fewer of them, or for larger groups"
        case .overspent(let spent, let budget, let until):
            rule = "noise"
            text =
                "the answer would spend an epsilon of \(AccessRule.Noise.text(epsilon)), and \(AccessRule.Noise.text(spent)) of \(AccessRule.Noise.text(budget)) is spent"
                + (until.map { "; more is free from \($0.text) on" } ?? "")
        case .full(let until):
            text =
                "\(QueryLedger.answersMax) different answers were given in \(QueryLedger.windowDays) days, and no other is before \(until.text)"
        }
        let grant = access.nearest
        return Refusal(
            rule: rule, at: grant.position,
            text:
                "policy `\(grant.policy)` shows groups of at least \(grant.minGroup) people here: \(text)"
        )
    }
}
