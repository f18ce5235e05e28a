internal import CordonAudit
internal import CordonModel
internal import SQLite

extension RequestStore {
    /// What the store of the first version did not have.
    static let evidenceSchema = """
        CREATE TABLE evidence_files (
            request TEXT NOT NULL REFERENCES requests (id),
            side    TEXT NOT NULL,
            name    TEXT NOT NULL,
            rows    INTEGER NOT NULL,
            sha256  TEXT NOT NULL,
            PRIMARY KEY (request, side, name)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE evidence_numbers (
            request TEXT NOT NULL REFERENCES requests (id),
            name    TEXT NOT NULL,
            value   INTEGER NOT NULL,
            PRIMARY KEY (request, name)
        ) STRICT, WITHOUT ROWID;
        """

    private static let before = "before"
    private static let after = "after"

    /// What the request has remembered for its certificate.
    package func evidence(of id: String) throws -> RequestEvidence {
        var evidence = RequestEvidence()
        let files = try connection.prepare(
            "SELECT side, name, rows, sha256 FROM evidence_files WHERE request = ?")
        try files.bind(1, id)
        while try files.step() {
            let file = ErasureStatement.File(
                rows: Int(files.int64(2)), sha256: files.text(3) ?? "")
            let name = files.text(1) ?? ""
            switch files.text(0) {
            case Self.before: evidence.before[name] = file
            case Self.after: evidence.after[name] = file
            default: throw SubjectError.damagedStore(path: path)
            }
        }
        let numbers = try connection.prepare(
            "SELECT name, value FROM evidence_numbers WHERE request = ?")
        try numbers.bind(1, id)
        while try numbers.step() {
            guard let name = RequestEvidence.Number(rawValue: numbers.text(0) ?? "") else {
                throw SubjectError.damagedStore(path: path)
            }
            evidence.numbers[name] = numbers.int64(1)
        }
        return evidence
    }

    /// Replaces what the request has remembered.
    package func setEvidence(_ evidence: RequestEvidence, of id: String) throws {
        try connection.transaction {
            try removeEvidence(of: id)
            let file = try connection.prepare("INSERT INTO evidence_files VALUES (?, ?, ?, ?, ?)")
            for (side, files) in [(Self.before, evidence.before), (Self.after, evidence.after)] {
                for (name, content) in files {
                    try file.bind(1, id)
                    try file.bind(2, side)
                    try file.bind(3, name)
                    try file.bind(4, Int64(content.rows))
                    try file.bind(5, content.sha256)
                    try file.run()
                }
            }
            let number = try connection.prepare("INSERT INTO evidence_numbers VALUES (?, ?, ?)")
            for (name, value) in evidence.numbers {
                try number.bind(1, id)
                try number.bind(2, name.rawValue)
                try number.bind(3, value)
                try number.run()
            }
        }
    }

    /// Forgets it: the certificate has it.
    func removeEvidence(of id: String) throws(SQLiteError) {
        for table in ["evidence_files", "evidence_numbers"] {
            let row = try connection.prepare("DELETE FROM \(table) WHERE request = ?")
            try row.bind(1, id)
            try row.run()
        }
    }
}

extension RequestStore {
    /// Names of files, counts and digests.
    static let evidenceRest = Rest(.requests, [])
}
