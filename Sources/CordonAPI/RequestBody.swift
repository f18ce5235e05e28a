internal import Foundation
internal import Iceberg

/// Reads request bodies: JSON of bounded depth.
enum RequestBody {
    /// Reads `body` as `type`; throws 400 with what is wrong, or 413 where it nests too deep.
    static func read<Value: Decodable>(
        _ type: Value.Type, _ body: [UInt8]
    ) throws(APIError) -> Value {
        try requireShallow(body)
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch let failure as CommitFailure {
            throw APIError.bad(failure.text)
        } catch let error as IcebergError {
            throw APIError.bad(error.detail)
        } catch let DecodingError.keyNotFound(key, context) {
            throw APIError.bad(
                "`\(key.stringValue.prefix(64))` is missing\(place(context.codingPath))")
        } catch let DecodingError.typeMismatch(_, context),
            let DecodingError.valueNotFound(_, context)
        {
            throw APIError.bad("a value has the wrong type\(place(context.codingPath))")
        } catch let DecodingError.dataCorrupted(context) {
            throw APIError.bad("the body cannot be read\(place(context.codingPath))")
        } catch {
            throw APIError.bad("the body cannot be read")
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        guard !path.isEmpty else { return "" }
        let names = path.prefix(16).map { String($0.stringValue.prefix(64)) }
        return " at `\(names.joined(separator: "."))`"
    }

    /// Counts brackets outside of texts: the decoder would follow them down the stack.
    private static func requireShallow(_ body: [UInt8]) throws(APIError) {
        var depth = 0
        var isText = false
        var isEscaped = false
        for unit in body {
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if unit == 0x5C {
                    isEscaped = true
                } else if unit == 0x22 {
                    isText = false
                }
                continue
            }
            switch unit {
            case 0x22: isText = true
            case 0x5B, 0x7B:
                depth += 1
                if depth > APILimits.nestingMax {
                    throw .hostile(
                        "the body has more than \(APILimits.nestingMax) levels", reason: "nesting")
                }
            case 0x5D, 0x7D: depth -= 1
            default: break
            }
        }
    }
}

/// What names and properties of clients may be.
enum ClientNames {
    static let own = "pixels"
    static let ownTable = "hits"
    private static let namespaceBytesMax = 64
    private static let tableBytesMax = 128

    /// One level, of the words that tokens can grant: lowercase letters, digits, `.`, `_`, `-`.
    static func isNamespace(_ name: String) -> Bool {
        isWord(name, bytesMax: namespaceBytesMax, allowsUppercase: false)
    }

    static func isTable(_ name: String) -> Bool {
        isWord(name, bytesMax: tableBytesMax, allowsUppercase: true)
    }

    /// Names become folders and stand in addresses, so nothing that means more than itself in either is taken: no `*`, `?`,
    /// `/`, `\`, `$`, `%`, space or control character, no `..`, no point at the start.
    private static func isWord(_ name: String, bytesMax: Int, allowsUppercase: Bool) -> Bool {
        let units = Array(name.utf8)
        guard (1...bytesMax).contains(units.count), !name.contains("..") else { return false }
        return units.enumerated().allSatisfy { index, unit in
            switch unit {
            case 0x61...0x7A, 0x30...0x39: true
            case 0x41...0x5A: allowsUppercase
            case 0x5F: true
            case 0x2D, 0x2E: index > 0
            default: false
            }
        }
    }

    static func requireProperties(_ properties: [String: String]) throws(APIError) {
        guard properties.count <= APILimits.propertiesMax,
            properties.allSatisfy({ name, value in
                (1...APILimits.propertyNameBytesMax).contains(name.utf8.count)
                    && value.utf8.count <= APILimits.propertyValueBytesMax
            })
        else {
            throw .bad(
                "at most \(APILimits.propertiesMax) properties, with names of \(APILimits.propertyNameBytesMax) and values of \(APILimits.propertyValueBytesMax) bytes"
            )
        }
    }
}

/// A list that is given page by page when a page is asked for.
struct Page<Element> {
    let items: [Element]
    let next: String?

    /// - Parameter all: sorted by `name`.
    init(
        _ all: [Element], _ request: APIRequest, name: (Element) -> String
    ) throws(APIError) {
        let token = request.query["pageToken"]
        guard token != nil || request.query["pageSize"] != nil else {
            items = all
            next = nil
            return
        }
        let asked = request.query["pageSize"].map { Int($0) } ?? APILimits.pageMax
        guard let asked, asked > 0 else { throw .bad("`pageSize` is a whole number from 1 on") }
        var rest = all[...]
        if let token, !token.isEmpty {
            guard let last = Data(base64Encoded: token).map({ String(decoding: $0, as: UTF8.self) })
            else { throw .bad("`pageToken` is none of this service") }
            rest = rest.drop { name($0) <= last }
        }
        let page = Array(rest.prefix(min(asked, APILimits.pageMax)))
        items = page
        next =
            page.count < rest.count
            ? page.last.map { Data(name($0).utf8).base64EncodedString() } : nil
    }
}
