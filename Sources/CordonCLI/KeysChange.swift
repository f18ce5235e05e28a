import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects
import Crypto
import LinuxIO
import Merkle

extension Command.Option {
    fileprivate static let field = Command.Option(
        name: "field", value: "FIELD", help: "user or visitor")
    fileprivate static let yes = Command.Option(
        name: "yes", value: nil, help: "do it; without it, only what would go is shown")
}

extension Command {
    static let keysRotate = Command(
        ["keys", "rotate"],
        summary:
            "begin new pseudonym keys now, which keep the old ones to find persons by, or a new signing key",
        usage: "[--region REGION]… [--field FIELD | --signing]",
        options: [
            .regions, .field,
            .init(
                name: "signing", value: nil,
                help:
                    "change the key that signs the audit log: the old one introduces the new one and is destroyed"
            ),
        ],
        example: "cordon keys rotate --region eu-central --field user"
    ) { arguments, console in
        if arguments.has("signing") {
            guard !arguments.has("field") else {
                throw UsageError(text: "`--signing` and `--field` are of different keys")
            }
            return try rotateSigning(arguments, console)
        }
        let fields = try fields(arguments)
        let today = Day(SystemWallClock().now())
        let regions = try CordonCLI.regions(arguments)
        let (made, failure) = changes(of: ChangedKey.self, in: regions) { region, made in
            let (keys, log) = try open(region)
            for epoch in try keys.epochs()
            where try fields.contains(epoch.field) && keys.isInUse(epoch, on: today) {
                // Tomorrow's epoch has a key as well; whoever may know today's may know that one.
                let fingerprint = try keys.open(epoch)?.fingerprint ?? ""
                try log.append(
                    entry("keys.rotated", region, epoch, ["fingerprint": .text(fingerprint)]))
                let next = try keys.rotate(epoch.field, epoch.period, epoch.start)
                made.append(ChangedKey(region: region.name, epoch: next, state: "made"))
            }
        }
        let takenUp = try reloadNodes(arguments, console)
        try show(made, "keys are new", arguments, console)
        if let failure { throw failure }
        return takenUp ? .done : .worldFailed
    }

    static let keysDestroy = Command(
        ["keys", "destroy"],
        summary:
            "destroy pseudonym keys for good, so that nobody can tie their rows to a person again",
        usage: "[--region REGION]… [--field FIELD] (--before DAY | --rotated) [--yes] [--out DIR]",
        options: [
            .regions, .field,
            .init(
                name: "before", value: "DAY",
                help: "those whose epoch ended before this day (YYYY-MM-DD)"),
            .init(name: "rotated", value: nil, help: "those that `keys rotate` took out of use"),
            .yes,
            .init(
                name: "out", value: "DIR",
                help: "write the audit entry of each with the proof that it is in the log"),
        ],
        example: "cordon keys destroy --region eu-central --field visitor --before 2026-01-01"
    ) { arguments, console in
        let fields = try fields(arguments)
        guard arguments.has("before") != arguments.has("rotated") else {
            throw UsageError(text: "one of `--before DAY` and `--rotated` says which keys")
        }
        let before = try arguments.day("before")
        let today = Day(SystemWallClock().now())
        if let before, before > today {
            throw UsageError(text: "`--before` lies ahead: keys of the present epoch are in use")
        }
        let regions = try CordonCLI.regions(arguments)
        func chosen(_ keys: RegionKeys) throws -> [RegionKeys.Epoch] {
            let all = try keys.epochs()
            return all.filter { epoch in
                guard fields.contains(epoch.field) else { return false }
                if let before { return epoch.end <= before }
                return all.contains {
                    $0.field == epoch.field && $0.period == epoch.period && $0.start == epoch.start
                        && $0.generation > epoch.generation
                }
            }
        }
        guard arguments.has("yes") else {
            var would: [ChangedKey] = []
            for region in regions {
                let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
                would += try chosen(keys).map {
                    ChangedKey(region: region.name, epoch: $0, state: "would be destroyed")
                }
            }
            try show(would, "keys would be destroyed", arguments, console)
            console.note(
                "nothing was changed: `--yes` destroys them. Their rows stay, and no request of a person finds them any more"
            )
            return .wrongUsage
        }
        // A node that read the keys before a rotation would go on with one that is destroyed.
        guard try !arguments.has("rotated") || reloadNodes(arguments, console) else {
            throw CommandFailure(text: "nothing was destroyed: a running node may still use a key")
        }
        let (gone, failure) = changes(of: ChangedKey.self, in: regions) { region, gone in
            let (keys, log) = try open(region)
            for epoch in try chosen(keys) {
                guard let key = try keys.open(epoch) else { continue }
                let fields = ["fingerprint": AuditEntry.Value.text(key.fingerprint)]
                try log.append(entry("keys.destroying", region, epoch, fields))
                guard try keys.destroy(epoch, on: today) else { continue }
                let index = try log.append(entry("keys.destroyed", region, epoch, fields))
                gone.append(
                    ChangedKey(
                        region: region.name, epoch: epoch, state: "destroyed", entry: index,
                        fingerprint: key.fingerprint))
                if let directory = arguments.value("out") {
                    try AuditProofFiles.write(try log.reader.prove(index), region.name, directory)
                }
            }
        }
        try show(gone, "keys are destroyed", arguments, console)
        if let failure { throw failure }
        for region in regions {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            guard try SubjectKeys.existing(keys) != nil else { continue }
            let subjects = try RegionSubjects(region, clock: SystemWallClock())
            let count = try subjects.service().sweepKeys()
            guard !arguments.wantsJSON else { continue }
            console.note(
                count.map { "\(region.name): \($0) key(s) of sealed columns went with them" }
                    ?? "\(region.name): the keys of sealed columns wait for the release of a hold")
        }
        return .done
    }

    static let keysWrap = Command(
        ["keys", "wrap"],
        summary: "encrypt the keys by a master key from a file, the environment or a command",
        usage: "[--region REGION]… (--master SOURCE | --plain)",
        options: [
            .regions,
            .init(
                name: "master", value: "SOURCE",
                help:
                    "file:/PATH, env:NAME, or command:WORDS that print the key (32 bytes, as hexadecimal or base64)"
            ),
            .init(name: "plain", value: nil, help: "lay the keys down as they are again"),
        ],
        example: "cordon keys wrap --master env:CORDON_MASTER_KEY"
    ) { arguments, console in
        guard arguments.has("master") != arguments.has("plain") else {
            throw UsageError(text: "one of `--master SOURCE` and `--plain` is needed")
        }
        let source = try arguments.value("master").map { text in
            guard let source = MasterKeySource(text) else {
                throw UsageError(
                    text: "`\(text)` is none of file:/PATH, env:NAME and command:WORDS")
            }
            return source
        }
        let regions = try CordonCLI.regions(arguments)
        // A source that does not do for one region changes none.
        for region in regions {
            let (keys, _) = try open(region)
            if let source { try keys.check(source) }
        }
        let (answers, failure) = changes(of: WrappedKeys.self, in: regions) { region, answers in
            let (keys, log) = try open(region)
            func entry(_ kind: String) -> AuditEntry {
                AuditEntry(
                    at: SystemWallClock().now(), kind: kind, region: region.name,
                    // The words of a command may hold what is nobody else's business.
                    fields: ["master": .text(source?.kindText ?? "none")])
            }
            try log.append(entry(source == nil ? "keys.unwrapping" : "keys.wrapping"))
            let count = try keys.wrap(by: source)
            answers.append(
                WrappedKeys(region: region.name, keys: count, master: source?.text))
            try log.append(entry(source == nil ? "keys.unwrapped" : "keys.wrapped"))
        }
        if arguments.wantsJSON {
            for answer in answers { try console.print(json: answer) }
        } else {
            if !answers.isEmpty {
                console.table(
                    ["region", "keys", "wrapped by"],
                    answers.map { [$0.region, "\($0.keys)", $0.master ?? "nothing"] })
            }
            // Also when it was cut: some keys are wrapped by then.
            if source != nil {
                console.note(
                    "keep a copy of the master key elsewhere: without it no key opens again, and nothing brings them back"
                )
            }
        }
        if let failure { throw failure }
        return .done
    }

    // MARK: The signing key

    private static func rotateSigning(
        _ arguments: Arguments, _ console: Console
    ) throws -> ExitCode {
        // A node has the key in memory, and would be left without one that signs.
        guard try RunningNodes.status(CordonCLI.project(arguments)).isEmpty else {
            throw CommandFailure(
                text: "a node of this project runs: stop it, change the key, and start it again")
        }
        let regions = try CordonCLI.regions(arguments)
        let (changed, failure) = changes(of: ChangedSigningKey.self, in: regions) {
            region, changed in
            changed.append(try SigningKeyChange(region).run())
        }
        if arguments.wantsJSON {
            for key in changed { try console.print(json: key) }
        } else if !changed.isEmpty {
            console.table(
                ["region", "from entry", "old key", "new key"],
                changed.map { [$0.region, "\($0.size)", $0.old, $0.new] })
            console.note(
                "hand out the new keys; who has the old ones follows to them by the log itself. "
                    + "A proof certificate is to be signed anew: cordon policy prove --sign")
        }
        if let failure { throw failure }
        return .done
    }

    // MARK: Helpers

    /// What `body` does in one region after another, up to the first failure: what was done until then is shown as well.
    private static func changes<Change>(
        of type: Change.Type, in regions: [RegionConfiguration],
        _ body: (RegionConfiguration, inout [Change]) throws -> Void
    ) -> (done: [Change], failure: (any Error)?) {
        var done: [Change] = []
        do {
            for region in regions { try body(region, &done) }
        } catch { return (done, error) }
        return (done, nil)
    }

    private static func fields(_ arguments: Arguments) throws(UsageError) -> [PseudonymField] {
        guard let text = arguments.value("field") else { return PseudonymField.allCases }
        guard let field = PseudonymField(text: text) else {
            throw UsageError(text: "`--field` is user or visitor, found `\(text)`")
        }
        return [field]
    }

    private static func open(_ region: RegionConfiguration) throws -> (RegionKeys, AuditLog) {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        return (keys, log)
    }

    private static func entry(
        _ kind: String, _ region: RegionConfiguration, _ epoch: RegionKeys.Epoch,
        _ fields: [String: AuditEntry.Value]
    ) -> AuditEntry {
        let place: [String: AuditEntry.Value] = [
            "field": .text(epoch.field.text), "period": .text(epoch.period.text),
            "from": .text(epoch.start.text), "rotation": .integer(epoch.generation),
        ]
        return AuditEntry(
            at: SystemWallClock().now(), kind: kind, region: region.name,
            fields: place.merging(fields) { old, _ in old })
    }

    /// Lets running nodes read the keys again; says which did not.
    private static func reloadNodes(_ arguments: Arguments, _ console: Console) throws -> Bool {
        var isTakenUp = true
        for answer in try RunningNodes.reload(CordonCLI.project(arguments)) {
            switch answer {
            case .outcome(let outcome) where outcome.mistakes.isEmpty: break
            case .outcome(let outcome):
                isTakenUp = false
                console.note(
                    "process \(outcome.pid) goes on with the old keys: "
                        + outcome.mistakes.joined(separator: "; "))
            case .refused(let text):
                isTakenUp = false
                console.note("a node goes on with the old keys: \(text)")
            }
        }
        return isTakenUp
    }

    private static func show(
        _ changed: [ChangedKey], _ what: String, _ arguments: Arguments, _ console: Console
    ) throws {
        if arguments.wantsJSON {
            for key in changed { try console.print(json: key) }
            return
        }
        if !changed.isEmpty {
            console.table(
                ["region", "key", "period", "from", "rotation", "state", "audit entry"],
                changed.map {
                    [
                        $0.region, $0.key, $0.period, $0.from, "\($0.rotation)", $0.state,
                        $0.entry.map(String.init) ?? "",
                    ]
                })
        }
        console.print("\(changed.count) \(what)")
    }
}

extension MasterKeySource {
    /// The kind of source, without what names it.
    fileprivate var kindText: String {
        switch kind {
        case .file: "file"
        case .environment: "environment"
        case .command: "command"
        }
    }
}

/// One key that a command changed.
private struct ChangedKey: Encodable {
    let region: String
    let key: String
    let period: String
    let from: String
    let rotation: Int
    let state: String
    let entry: Int?
    let fingerprint: String?

    init(
        region: String, epoch: RegionKeys.Epoch, state: String, entry: Int? = nil,
        fingerprint: String? = nil
    ) {
        self.region = region
        key = epoch.field.text
        period = epoch.period.text
        from = epoch.start.text
        rotation = epoch.generation
        self.state = state
        self.entry = entry
        self.fingerprint = fingerprint
    }
}

/// One step from a region's signing key to the next; whatever was cut before is finished first.
private struct SigningKeyChange {
    let region: RegionConfiguration

    init(_ region: RegionConfiguration) { self.region = region }

    func run() throws -> ChangedSigningKey {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let next = try keys.nextSigningKey()
        let reader = AuditReader(
            directory: region.auditDirectory, region: region.name, key: next.publicKey)
        // Introduced before, in a run that was cut: then only its place is to be taken.
        if try reader.keyChain().links.count == 1, next.publicKey != keys.signingKey.publicKey {
            let log = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
            try log.append(
                AuditEntry(
                    at: SystemWallClock().now(), kind: "keys.signing-rotated", region: region.name,
                    fields: ["verifier-key": .text(reader.verifierKey)]))
            try log.introduce(next)
        }
        try keys.adoptNextSigningKey(next.publicKey)
        // Puts the new key's name beside the log, and shows that the log opens under it.
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: next)
        let links = try log.reader.keyChain().links
        return ChangedSigningKey(
            region: region.name, size: links.last?.sizes.lowerBound ?? 0,
            old: links.dropLast().last?.verifier.text ?? "", new: log.reader.verifierKey)
    }
}

/// What `keys rotate --signing` did in a region.
private struct ChangedSigningKey: Encodable {
    let region: String
    /// Entries of the log when the key changed.
    let size: Int
    let old: String
    let new: String
}

/// What `keys wrap` did in a region.
private struct WrappedKeys: Encodable {
    let region: String
    let keys: Int
    let master: String?
}
