internal import HTTP

/// A path that the collector knows.
enum Route {
    case gif, png, hit, script, health, ready, metrics, demo, whoami

    init?(_ bytes: Span<UInt8>, _ path: ByteRange) {
        switch path.count {
        case 4 where Self.equals(bytes, path, "/hit"): self = .hit
        case 5 where Self.equals(bytes, path, "/demo"): self = .demo
        case 7 where Self.equals(bytes, path, "/readyz"): self = .ready
        case 7 where Self.equals(bytes, path, "/whoami"): self = .whoami
        case 8 where Self.equals(bytes, path, "/1x1.png"): self = .png
        case 8 where Self.equals(bytes, path, "/healthz"): self = .health
        case 8 where Self.equals(bytes, path, "/metrics"): self = .metrics
        case 10 where Self.equals(bytes, path, "/pixel.gif"): self = .gif
        case 10 where Self.equals(bytes, path, "/cordon.js"): self = .script
        default: return nil
        }
    }

    /// What a hit on this path is answered with; nil when it is none.
    var image: Answer? {
        switch self {
        case .gif: .gif
        case .png: .png
        case .hit: .noContent
        default: nil
        }
    }

    static func isAsterisk(_ bytes: Span<UInt8>, _ path: ByteRange) -> Bool {
        equals(bytes, path, "*")
    }

    private static func equals(
        _ bytes: Span<UInt8>, _ range: ByteRange, _ text: StaticString
    ) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            // SAFETY: `offset` is below the number of code units that the literal has.
            if unsafe text.utf8Start[offset] != bytes[range.lowerBound + offset] { return false }
        }
        return true
    }
}
