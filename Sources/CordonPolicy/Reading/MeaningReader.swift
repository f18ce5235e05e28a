internal import Consent

/// Reads what a purpose stands for in consent strings: `{ tcf: [8, 10], vendor: 123, basis: consent, … }`.
struct MeaningReader {
    static let keys = ["tcf", "special_features", "basis", "vendor", "opt_outs", "gcm", "lasts"]

    /// Purposes of the TCF that policy version 4 and later know (TCF 2.2 added the eleventh).
    private static let purposes = 1...11
    /// Purposes that TCF policy lets rest on consent alone: storage, and since 2.2 profiles for advertising and content.
    private static let consentOnly: Set = [1, 3, 4, 5, 6]
    /// Precise geolocation, and active scanning of the device.
    private static let specialFeatures = 1...2

    func read(_ item: Item) -> CompiledPolicy.Meaning? {
        guard let section = Section(item, keys: Self.keys) else { return nil }
        var meaning = CompiledPolicy.Meaning()
        let tcf = section["tcf"].map { numbers($0, Self.purposes, "TCF purpose") } ?? []
        let features =
            section["special_features"].map { numbers($0, Self.specialFeatures, "special feature") }
            ?? []
        let basis = section["basis"].map { $0.word(CompiledPolicy.Meaning.Basis.self) } ?? .consent
        let holder = section["vendor"].map(readHolder) ?? .anyone
        let optOuts =
            section["opt_outs"].map { words($0, OptOuts.names, "opt-out", mayBeEmpty: true) }
            ?? CompiledPolicy.Meaning.optOutsDefault
        let mode =
            section["gcm"].map { words($0, ModeSignals.names, "signal of consent mode") } ?? []
        for key in ["basis", "vendor"] where section["tcf"] == nil {
            section[key]?.error("`\(key)` has no meaning without `tcf`")
        }
        if let tcf, let basis, basis == .legitimateInterest {
            for purpose in tcf where Self.consentOnly.contains(purpose) {
                section["basis"]?.error("TCF purpose \(purpose) cannot rest on legitimate interest")
            }
        }
        guard let tcf, let features, let basis, let holder, let optOuts, let mode else {
            return nil
        }
        meaning.tcf = tcf
        meaning.specialFeatures = features
        meaning.basis = basis
        meaning.holder = holder
        meaning.optOuts = optOuts
        meaning.mode = mode
        meaning.lastsDays = section["lasts"].flatMap { $0.days() }
        if section["lasts"] != nil, meaning.lastsDays == nil { return nil }
        return meaning
    }

    private func numbers(_ item: Item, _ bounds: ClosedRange<Int>, _ noun: String) -> [Int]? {
        guard let items = item.list() else { return nil }
        if items.isEmpty { item.error("expected at least one \(noun)") }
        var numbers: Set<Int> = []
        for item in items {
            guard let text = item.plain, let number = Int(text) else {
                item.error("expected the number of a \(noun), found \(item.found)")
                continue
            }
            guard bounds.contains(number) else {
                item.error(
                    "unknown \(noun) \(number): they are \(bounds.lowerBound) to \(bounds.upperBound)"
                )
                continue
            }
            if !numbers.insert(number).inserted { item.error("\(number) stands twice in the list") }
        }
        return numbers.isEmpty || numbers.count != items.count ? nil : numbers.sorted()
    }

    private func words(
        _ item: Item, _ names: [String], _ noun: String, mayBeEmpty: Bool = false
    ) -> [String]? {
        guard let texts = item.texts() else { return nil }
        if texts.isEmpty, !mayBeEmpty { item.error("expected at least one \(noun)") }
        for (text, item) in texts where !names.contains(text) {
            item.error("unknown \(noun) `\(text)`" + Spelling.suggestion(text, among: names))
        }
        let known = texts.map(\.text).filter(names.contains).sorted()
        return known.count == texts.count && (mayBeEmpty || !known.isEmpty) ? known : nil
    }

    private func readHolder(_ item: Item) -> CompiledPolicy.Meaning.Holder? {
        if item.scalar == "publisher" { return .publisher }
        guard let text = item.plain, let number = UInt16(text), number > 0 else {
            item.error("expected the number of a vendor or `publisher`, found \(item.found)")
            return nil
        }
        return .vendor(number)
    }
}
