extension Command {
    static let doctor = Command(
        ["doctor"],
        summary: "what is wrong with this installation, with the fix",
        usage: "[--project DIR] [--json]",
        example: "cordon doctor --project demo"
    ) { arguments, console in
        let findings = DoctorChecks(project: CordonCLI.project(arguments)).run()
        if arguments.wantsJSON {
            try console.print(json: DoctorReport(findings))
        } else {
            for finding in findings {
                console.print("\(finding.state.mark) \(finding.check): \(finding.detail)")
                if let fix = finding.fix { console.print("    fix: \(fix)") }
            }
            let wrong = findings.count { $0.state == .wrong }
            let doubtful = findings.count { $0.state == .doubtful }
            console.print()
            console.print(
                wrong + doubtful == 0
                    ? "all well" : "\(wrong) thing(s) wrong, \(doubtful) to look at")
        }
        return findings.contains { $0.state == .wrong } ? .foundProblem : .done
    }
}

/// What one check found.
struct DoctorFinding: Encodable, Sendable {
    let check: String
    let state: State
    let detail: String
    /// What to do about it; nil when nothing is to be done.
    let fix: String?

    enum State: String, Encodable, Sendable {
        case well, doubtful, wrong

        var mark: String {
            switch self {
            case .well: "ok   "
            case .doubtful: "look "
            case .wrong: "WRONG"
            }
        }
    }

    static func well(_ check: String, _ detail: String) -> DoctorFinding {
        DoctorFinding(check: check, state: .well, detail: detail, fix: nil)
    }

    static func doubtful(_ check: String, _ detail: String, fix: String) -> DoctorFinding {
        DoctorFinding(check: check, state: .doubtful, detail: detail, fix: fix)
    }

    static func wrong(_ check: String, _ detail: String, fix: String) -> DoctorFinding {
        DoctorFinding(check: check, state: .wrong, detail: detail, fix: fix)
    }
}

private struct DoctorReport: Encodable {
    let well: Bool
    let checks: [DoctorFinding]

    init(_ findings: [DoctorFinding]) {
        checks = findings
        well = !findings.contains { $0.state == .wrong }
    }
}
