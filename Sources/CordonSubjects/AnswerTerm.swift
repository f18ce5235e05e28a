package import CordonModel

/// How long a law leaves for the answer to a person's request.
package struct AnswerTerm: Equatable, Sendable {
    /// The name that the shipped policy of the law has.
    package let law: String
    package let length: Length
    /// Where it stands, or that the law only says "promptly" and the length is ours.
    package let source: String

    package enum Length: Equatable, Sendable {
        case days(Int)
        /// To the day of the same number, or the last one of a shorter month.
        case months(Int)
    }

    private init(_ law: String, _ length: Length, _ source: String) {
        self.law = law
        self.length = length
        self.source = source
    }

    /// By name of the law.
    package static let all = [
        AnswerTerm("gdpr", .months(1), "Regulation (EU) 2016/679 article 12(3)"),
        AnswerTerm("uk-gdpr", .months(1), "UK GDPR article 12(3)"),
        AnswerTerm("swiss-fadp", .days(30), "Data Protection Ordinance article 18"),
        AnswerTerm("us-states", .days(45), "California Civil Code 1798.130(a)(2)"),
        AnswerTerm("lgpd", .days(15), "Lei 13.709/2018 article 19 II"),
        AnswerTerm("pipeda", .days(30), "PIPEDA section 8(3)"),
        AnswerTerm("appi", .days(30), "promptly; thirty days are set here"),
        AnswerTerm("pipl", .days(30), "promptly; thirty days are set here"),
        AnswerTerm("dpdp", .days(30), "within a time that is published; thirty days are set here"),
    ]

    /// For policies that carry out none of these.
    package static let other = AnswerTerm("default", .days(30), "thirty days are set here")

    package static func named(_ law: String) -> AnswerTerm? {
        (all + [other]).first { $0.law == law }
    }

    /// The last day for the answer to what was received on `day`.
    package func due(from day: Day) -> Day {
        switch length {
        case .days(let count): return day + count
        case .months(let count):
            let (year, month, number) = day.civil
            let months = year * 12 + month - 1 + count
            let first = Day(year: months / 12, month: months % 12 + 1, day: 1)
            let next = Day(year: (months + 1) / 12, month: (months + 1) % 12 + 1, day: 1)
            return first + min(number, next - first) + -1
        }
    }

    /// The earliest end among the laws that these policies carry out.
    package static func answer(under policies: [String], receivedOn day: Day) -> Answer {
        let terms = policies.map { name in all.first { $0.law == name } ?? other }
        let strictest = terms.min { ($0.due(from: day), $0.law) < ($1.due(from: day), $1.law) }
        let term = strictest ?? other
        return Answer(law: term.law, due: term.due(from: day))
    }
}
