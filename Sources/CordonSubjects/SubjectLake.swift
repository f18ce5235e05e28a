package import CordonKeys
package import CordonModel

/// What requests and retention need of a region's lake; `CordonServer` supplies it.
///
/// Each changing call waits for the lake lock, may be repeated after it was cut at any point, and is followed in the
/// lake's own audit entries.
package protocol SubjectLake: Sendable {
    /// Names of the table's columns in order.
    var columns: [String] { get }
    /// The data files of the table as it is now.
    func files() throws -> [LakeFile]
    /// The table's present snapshot; nil when it has none.
    func snapshotID() throws -> Int64?
    /// The path of one of the table's files from the table's folder.
    func name(of path: String) -> String
    /// Number of the last journal batch that is in the table.
    func deliveredThrough() throws -> Int64
    /// Files that hold rows of these people, with how many each.
    func matches(_ people: SubjectFilter) throws -> [LakeMatch]
    /// How many rows of these people have a sealed value.
    func sealedRows(of people: SubjectFilter) throws -> Int64
    /// Each row of these people as a JSON object, sealed values as they are.
    func rows(of people: SubjectFilter, _ body: (String) throws -> Void) throws
    /// Rewrites the files that hold rows of these people without them, in one snapshot, and removes dead letters that
    /// hold one of the pseudonyms.
    ///
    /// - Parameters:
    ///   - foreseen: called under the lock with what will go, before anything changes.
    ///   - written: called under the lock with the files that will take their place, when they are on disk and before
    ///     the table has them.
    func remove(
        _ people: SubjectFilter, foreseen: ([LakeMatch]) throws -> Void,
        written: ([(path: String, rows: Int64)]) throws -> Void
    ) throws -> LakeRemoval
    /// Brings what waits in the journal into the table.
    func deliver() throws
    /// Files that hold rows of these people which a correction would change, with how many each.
    func matches(_ people: SubjectFilter, _ correction: ConsentCorrection) throws -> [LakeMatch]
    /// Makes rows of these people into what is kept without the purposes that are taken back, in one snapshot, and removes
    /// dead letters that hold one of the pseudonyms.
    ///
    /// - Parameter foreseen: called under the lock with what will change, before anything does.
    func correct(
        _ people: SubjectFilter, _ correction: ConsentCorrection,
        foreseen: ([LakeMatch]) throws -> Void
    ) throws -> LakeRemoval
    /// Each pseudonym that a column of the data files on disk holds, or that a dead letter may hold, referenced by the table or
    /// not; some more than once.
    ///
    /// - Returns: how many data files were read.
    func forEachPseudonym(_ field: PseudonymField, _ body: (Pseudonym) -> Void) throws -> Int
    /// The ids of the holds that forbid to remove a row of these people.
    func holds(on people: SubjectFilter) throws -> [String]
    /// Rows of each of these files, by path, that a hold forbids to remove.
    func held(in files: [LakeFile]) throws -> [String: Int64]
    /// Takes out whole files whose end of retention is `day` or before, in one snapshot.
    ///
    /// Rows that are held stay.
    ///
    /// - Parameter foreseen: called under the lock with what will go, before anything changes.
    func drop(dueOn day: Day, foreseen: ([LakeFile]) throws -> Void) throws
    /// Forgets every snapshot but the present one and deletes what only they reached; returns the number of files.
    func expire() throws -> Int
    /// Reads data files for rows that hold one of these pseudonyms anywhere.
    func decoded(holding pseudonyms: Set<Pseudonym>) -> any DecodedContent
    /// Runs `body` while nobody writes the table.
    func quietly<Result>(_ body: () throws -> Result) throws -> Result
}

/// One data file.
package struct LakeFile: Hashable, Sendable {
    package let path: String
    package let rows: Int64
    package let bytes: Int64
    /// Day of every hit in it.
    package let day: Day
    /// The day from which on its hits may no longer be there.
    package let retainUntil: Day

    package init(path: String, rows: Int64, bytes: Int64, day: Day, retainUntil: Day) {
        self.path = path
        self.rows = rows
        self.bytes = bytes
        self.day = day
        self.retainUntil = retainUntil
    }

    /// The same file with only the rows that may go; nil when none may.
    package func leaving(_ held: Int64) -> LakeFile? {
        held >= rows
            ? nil
            : LakeFile(
                path: path, rows: rows - held, bytes: bytes, day: day, retainUntil: retainUntil)
    }

    /// A hit is due from the day that its `retain_until` names.
    package func isDue(on day: Day) -> Bool { retainUntil <= day }
}

/// A data file that holds rows of a person.
package struct LakeMatch: Hashable, Sendable {
    package let file: LakeFile
    package let rows: Int64
    package init(file: LakeFile, rows: Int64) {
        self.file = file
        self.rows = rows
    }
}

/// What a removal of rows did.
package struct LakeRemoval: Equatable, Sendable {
    package var rows: Int64
    package var filesReplaced: Int
    package var deadLetters: Int
    package init(rows: Int64, filesReplaced: Int, deadLetters: Int) {
        self.rows = rows
        self.filesReplaced = filesReplaced
        self.deadLetters = deadLetters
    }
}
