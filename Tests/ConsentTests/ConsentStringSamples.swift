import TestSupport

@testable import Consent

/// Writes consent strings for tests: the layouts once more, from the writing side.
struct BitWriter {
    private(set) var bits: [UInt8] = []

    mutating func put(_ value: Int, _ width: Int) {
        for shift in stride(from: width - 1, through: 0, by: -1) {
            bits.append(UInt8(value >> shift & 1))
        }
    }

    mutating func put(_ flag: Bool) { bits.append(flag ? 1 : 0) }

    mutating func put(ids: [Int], of count: Int) {
        for id in 1...max(count, 1) where id <= count { put(ids.contains(id)) }
    }

    mutating func put(letters: String) {
        for unit in letters.utf8 { put(Int(unit) - 0x41, 6) }
    }

    /// Fibonacci coding, by the greatest number that fits, downwards.
    mutating func put(fibonacci number: Int) {
        var numbers = [1, 2]
        while numbers.last! <= number { numbers.append(numbers.suffix(2).reduce(0, +)) }
        var rest = number
        var code: [UInt8] = []
        for fibonacci in numbers.reversed() {
            if fibonacci <= rest {
                rest -= fibonacci
                code.append(1)
            } else if !code.isEmpty {
                code.append(0)
            }
        }
        bits += code.reversed() + [1]
    }

    static func runs(_ ids: [Int]) -> [ClosedRange<Int>] {
        ids.reduce(into: []) { runs, id in
            if let last = runs.last, last.upperBound == id - 1 {
                runs[runs.count - 1] = last.lowerBound...id
            } else {
                runs.append(id...id)
            }
        }
    }

    mutating func put(ranges ids: [Int]) {
        let runs = Self.runs(ids)
        put(runs.count, 12)
        for run in runs {
            put(run.count > 1)
            put(run.lowerBound, 16)
            if run.count > 1 { put(run.upperBound, 16) }
        }
    }

    /// One range of all vendors.
    mutating func putEveryVendor() {
        put(true)
        put(1, 16)
        put(65535, 16)
    }

    mutating func put(fibonacciRanges ids: [Int]) {
        let runs = Self.runs(ids)
        put(runs.count, 12)
        var last = 0
        for run in runs {
            put(run.count > 1)
            put(fibonacci: run.lowerBound - last)
            if run.count > 1 { put(fibonacci: run.upperBound - run.lowerBound) }
            last = run.upperBound
        }
    }

    mutating func put(vendors ids: [Int], asRanges: Bool) {
        put(ids.last ?? 0, 16)
        put(asRanges)
        if asRanges { put(ranges: ids) } else { put(ids: ids, of: ids.last ?? 0) }
    }

    /// Padded with zero bits to a multiple of `multiple` and then of 6.
    func text(padding multiple: Int = 6) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        var bits = bits
        while bits.count % multiple != 0 { bits.append(0) }
        while bits.count % 6 != 0 { bits.append(0) }
        return String(
            stride(from: 0, to: bits.count, by: 6).map { start in
                alphabet[bits[start..<start + 6].reduce(0) { $0 << 1 | Int($1) }]
            })
    }
}

/// A TC string's content at random.
struct SampleTCF {
    var created = 15_500_000_000
    var updated = 16_400_000_000
    var language = "DE"
    var policy = 4
    var isServiceSpecific = true
    var specialFeatures: [Int] = []
    var consents: [Int] = []
    var interests: [Int] = []
    var vendorConsents: [Int] = []
    var vendorInterests: [Int] = []
    var restrictions: [(purpose: Int, type: Int, vendors: [Int])] = []
    /// More restrictions, each of which names every vendor that there can be.
    var broadRestrictions = 0
    /// How often the vendors with consent are every one that there can be, when not as above.
    var broadVendorRuns = 0
    var disclosed: [Int]?
    var allowed: [Int]?
    var publisher: (consents: [Int], interests: [Int], custom: Int)?
    var asRanges = false
    var padding = 6

    init() {}

    init(using generator: inout Generator) {
        func ids(_ count: Int, _ share: Double, _ generator: inout Generator) -> [Int] {
            (1...count).filter { _ in generator.chance(share) }
        }
        created = Int.random(in: 0..<17_600_000_000, using: &generator)
        updated = created + Int.random(in: 0..<500_000_000, using: &generator)
        specialFeatures = ids(12, 0.2, &generator)
        consents = ids(24, 0.5, &generator)
        interests = ids(24, 0.5, &generator)
        let most = [1, 8, 60, 900].randomElement(using: &generator)!
        vendorConsents = ids(most, 0.4, &generator)
        vendorInterests = ids(most, 0.2, &generator)
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            restrictions.append(
                (
                    Int.random(in: 1...24, using: &generator),
                    Int.random(in: 0...2, using: &generator), ids(most, 0.3, &generator)
                ))
        }
        if updated >= Int(ConsentLimits.disclosureDemandedSince) || generator.chance(0.6) {
            disclosed = ids(most, 0.7, &generator)
        }
        if generator.chance(0.2) { allowed = ids(most, 0.3, &generator) }
        if generator.chance(0.4) {
            publisher = (
                ids(24, 0.5, &generator), ids(24, 0.5, &generator),
                Int.random(in: 0...5, using: &generator)
            )
        }
        asRanges = generator.chance(0.5)
        padding = [6, 8, 24].randomElement(using: &generator)!
    }

    private func opening(version: Int) -> BitWriter {
        var writer = BitWriter()
        writer.put(version, 6)
        writer.put(created, 36)
        writer.put(updated, 36)
        writer.put(31, 12)
        writer.put(7, 12)
        writer.put(2, 6)
        writer.put(letters: language)
        writer.put(150, 12)
        writer.put(policy, 6)
        return writer
    }

    var text: String {
        var core = opening(version: 2)
        core.put(isServiceSpecific)
        core.put(false)
        core.put(ids: specialFeatures, of: 12)
        core.put(ids: consents, of: 24)
        core.put(ids: interests, of: 24)
        core.put(false)
        core.put(letters: "FR")
        if broadVendorRuns > 0 {
            core.put(65535, 16)
            core.put(true)
            core.put(broadVendorRuns, 12)
            for _ in 0..<broadVendorRuns { core.putEveryVendor() }
        } else {
            core.put(vendors: vendorConsents, asRanges: asRanges)
        }
        core.put(vendors: vendorInterests, asRanges: !asRanges)
        core.put(restrictions.count + broadRestrictions, 12)
        for restriction in restrictions {
            core.put(restriction.purpose, 6)
            core.put(restriction.type, 2)
            core.put(ranges: restriction.vendors)
        }
        for number in 0..<broadRestrictions {
            core.put(number % 24 + 1, 6)
            core.put(number / 24 % 3, 2)
            core.put(1, 12)
            core.putEveryVendor()
        }
        var parts = [core.text(padding: padding)]
        for (type, ids) in [(1, disclosed), (2, allowed)] {
            guard let ids else { continue }
            var segment = BitWriter()
            segment.put(type, 3)
            segment.put(vendors: ids, asRanges: asRanges)
            parts.append(segment.text(padding: padding))
        }
        if publisher != nil { parts.append(publisherText) }
        return parts.joined(separator: ".")
    }

    private var publisherText: String {
        var segment = BitWriter()
        segment.put(3, 3)
        segment.put(ids: publisher!.consents, of: 24)
        segment.put(ids: publisher!.interests, of: 24)
        segment.put(publisher!.custom, 6)
        for place in 0..<2 * publisher!.custom { segment.put(place % 3 == 0) }
        return segment.text(padding: padding)
    }

    /// The same choices as a section of TCF Canada.
    var canadianText: String {
        var core = opening(version: 1)
        core.put(false)
        core.put(ids: specialFeatures, of: 12)
        core.put(ids: consents, of: 24)
        core.put(ids: interests, of: 24)
        core.put(vendors: vendorConsents, asRanges: asRanges)
        core.put(vendors: vendorInterests, asRanges: !asRanges)
        core.put(restrictions.count, 12)
        for restriction in restrictions {
            core.put(restriction.purpose, 6)
            core.put(restriction.type, 2)
            core.put(ranges: restriction.vendors)
        }
        var parts = [core.text(padding: padding)]
        if publisher != nil { parts.append(publisherText) }
        if let disclosed {
            var segment = BitWriter()
            segment.put(1, 3)
            segment.put(vendors: disclosed, asRanges: asRanges)
            parts.append(segment.text(padding: padding))
        }
        return parts.joined(separator: ".")
    }
}

/// GPP strings.
enum SampleGPP {
    static func header(_ ids: [Int], type: Int = 3, version: Int = 1) -> String {
        var writer = BitWriter()
        writer.put(type, 6)
        writer.put(version, 6)
        writer.put(fibonacciRanges: ids)
        return writer.text()
    }

    static func text(_ sections: [(id: Int, text: String)]) -> String {
        ([header(sections.map(\.id))] + sections.map(\.text)).joined(separator: "~")
    }

    /// A United States section with values at random.
    static func section(_ id: Int, using generator: inout Generator) -> String {
        let layout = USLayout.all[id - GPPSection.usFirst]
        let padding = generator.chance(0.5) ? 6 : 8
        var parts: [String] = []
        let hasSecond = layout.second != nil && generator.chance(0.5)
        if layout.hasHeader, generator.chance(0.7) {
            var header = BitWriter()
            header.put(id, 6)
            header.put(1, 6)
            header.put(fibonacciRanges: hasSecond ? [1] : [])
            parts.append(header.text(padding: padding))
        }
        let version = Int.random(in: 1...layout.versionMax, using: &generator)
        let isOld = layout.coreBefore != nil && version == 1 && generator.chance(0.5)
        parts.append(
            segment(
                isOld ? layout.coreBefore! : layout.core, version: version, padding: padding,
                using: &generator))
        if hasSecond {
            parts.append(segment(layout.second!, version: 1, padding: padding, using: &generator))
        }
        return parts.joined(separator: ".")
    }

    private static func segment(
        _ layout: SegmentLayout, version: Int, padding: Int, using generator: inout Generator
    ) -> String {
        var writer = BitWriter()
        for field in layout.fields {
            switch field.kind {
            case .integer(let width): writer.put(width == 2 ? 1 : version, width)
            case .flag: writer.put(generator.chance(0.5))
            case .pairs(let count):
                for _ in 0..<count { writer.put(Int.random(in: 0...2, using: &generator), 2) }
            default: fatalError("no such field in these sections")
            }
        }
        return writer.text(padding: padding)
    }
}
