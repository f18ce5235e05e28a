import Foundation
import Synchronization

/// The raw values that tests send as if they came from people: addresses, ids, user agents, URLs.
///
/// Where `CORDON_TEST_REMAINS` names a folder, they are listed in the file of that name with `.values` behind it, and
/// `scripts/test` ends with a search of all that the tests left for each of them (promise P1).
package enum SentValues {
    /// Shorter values turn up by chance.
    private static let bytesMin = 7
    private static let known = Mutex<Set<String>>([])

    /// Lists `values`.
    package static func note(_ values: String...) { note(values) }

    package static func note(_ values: [String]) {
        guard let remains = TemporaryDirectory.remains else { return }
        let new = known.withLock { known in
            values.filter {
                $0.utf8.count >= bytesMin && !$0.contains(where: \.isNewline)
                    && known.insert($0).inserted
            }
        }
        guard !new.isEmpty else { return }
        // One short write to a file that is opened to append: processes do not mix their lines.
        let file = open(remains + ".values", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        precondition(file >= 0, "the list beside CORDON_TEST_REMAINS can be written")
        let bytes = Array((new.joined(separator: "\n") + "\n").utf8)
        precondition(write(file, bytes, bytes.count) == bytes.count)
        close(file)
    }

    /// Lists what a request's text says of a person: the headers about addresses, user agent and referrer, and the
    /// parameters `userid` and `url`, as they stand.
    package static func note(request: String) {
        let lines = request.split(whereSeparator: \.isNewline)
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...]
            switch line[..<colon].lowercased() {
            case "user-agent", "referer": note(value.trimmingCharacters(in: .whitespaces))
            case "x-forwarded-for", "cloudfront-viewer-address":
                // A hop without a digit is a word of RFC 7239, such as `unknown`, and no address.
                note(
                    value.split(separator: ",").filter { $0.contains(where: \.isNumber) }
                        .map { $0.trimmingCharacters(in: .whitespaces) })
            default: break
            }
        }
        guard let target = lines.first?.split(separator: " ").dropFirst().first else { return }
        let query = target.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        for field in query.split(separator: "&") {
            for name in ["userid=", "url="] where field.hasPrefix(name) {
                note(String(field.dropFirst(name.count)).removingPercentEncoding ?? "")
            }
        }
    }
}
