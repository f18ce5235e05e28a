import Consent
import Foundation
import HTTP
import TestSupport
import Testing

@testable import CordonEdge

/// A body of JSON and the form it becomes; nil where it is refused.
private struct JSONCase: CustomTestStringConvertible, Sendable {
    let json: String
    let form: String?
    init(_ json: String, _ form: String?) {
        self.json = json
        self.form = form
    }
    var testDescription: String { json }

    static let cases: [JSONCase] = [
        JSONCase("{}", ""), JSONCase(" \r\n\t{ } ", ""),
        JSONCase(
            #"{"event":"buy","value":9.5,"new":true,"old":false}"#,
            "event=buy&value=9.5&new=true&old=false"),
        JSONCase(#"{ "a" : "b" , "c" : null , "d" : "" }"#, "a=b&d="),
        JSONCase(#"{"c":null}"#, ""), JSONCase(#"{"c":null,"d":1}"#, "d=1"),
        JSONCase(#"{"site":"shop.example:8080"}"#, "site=shop.example:8080"),
        JSONCase(#"{"a&b":"c=d e+f%41"}"#, "a%26b=c%3Dd%20e%2Bf%2541"),
        JSONCase(#"{"a":"\"\\\/\b\f\n\r\t"}"#, "a=%22%5C%2F%08%0C%0A%0D%09"),
        JSONCase(#"{"\u0061":"\u00e9\u20AC\ud83d\ude00"}"#, "a=%C3%A9%E2%82%AC%F0%9F%98%80"),
        JSONCase(#"{"a":"é€😀"}"#, "a=%C3%A9%E2%82%AC%F0%9F%98%80"),
        JSONCase(#"{"a":"\ud83d"}"#, "a=%EF%BF%BD"),
        JSONCase(#"{"a":"\ude00\ud83dx"}"#, "a=%EF%BF%BD%EF%BF%BDx"),
        JSONCase(#"{"a":"\ud83d\ud83d\ude00"}"#, "a=%EF%BF%BD%F0%9F%98%80"),
        JSONCase(#"{"a":"\ud83d\n"}"#, "a=%EF%BF%BD%0A"),
        JSONCase(#"{"a":-0.5e+10,"b":0,"c":1E5}"#, "a=-0.5e%2B10&b=0&c=1E5"),
        JSONCase(#"{"a":1,"a":2}"#, "a=1&a=2"), JSONCase(#"{"":1}"#, "=1"),
        JSONCase("", nil), JSONCase("[]", nil), JSONCase("\"a\"", nil), JSONCase("1", nil),
        JSONCase("null", nil),
        JSONCase("{", nil), JSONCase("{}x", nil), JSONCase("{}{}", nil), JSONCase("{,}", nil),
        JSONCase(#"{"a":1,}"#, nil), JSONCase(#"{"a" 1}"#, nil), JSONCase(#"{"a":}"#, nil),
        JSONCase(#"{"a"}"#, nil),
        JSONCase(#"{a:1}"#, nil), JSONCase(#"{'a':1}"#, nil), JSONCase(#"{"a":1 "b":2}"#, nil),
        JSONCase(#"{"a":{}}"#, nil), JSONCase(#"{"a":[1]}"#, nil), JSONCase(#"{"a":tru}"#, nil),
        JSONCase(#"{"a":TRUE}"#, nil), JSONCase(#"{"a":truex}"#, nil), JSONCase(#"{"a":NaN}"#, nil),
        JSONCase(#"{"a":01}"#, nil), JSONCase(#"{"a":+1}"#, nil), JSONCase(#"{"a":.5}"#, nil),
        JSONCase(#"{"a":1.}"#, nil), JSONCase(#"{"a":1e}"#, nil), JSONCase(#"{"a":-}"#, nil),
        JSONCase(#"{"a":"b}"#, nil), JSONCase("{\"a\":\"\n\"}", nil), JSONCase(#"{"a":"\x"}"#, nil),
        JSONCase(#"{"a":"\u12"}"#, nil), JSONCase(#"{"a":"\u12g4"}"#, nil),
        JSONCase(#"{"a":"\ud83d\u12"}"#, nil),
        JSONCase(#"{"a":1}/* */"#, nil), JSONCase("\u{FEFF}{}", nil),
    ]
}

@Suite struct `Posted bodies` {
    private func form(_ json: [UInt8]) -> String? {
        var form: [UInt8] = []
        guard FlatJSON.append(json.span, 0..<json.count, to: &form) else { return nil }
        return String(decoding: form, as: UTF8.self)
    }

    @Test(arguments: JSONCase.cases)
    private func `a flat JSON object becomes a form, and anything else is refused`(_ item: JSONCase)
    {
        #expect(form(Array(item.json.utf8)) == item.form)
    }

    @Test func `what another writer puts into JSON comes out of the form`() throws {
        var random = Generator()
        let pieces = [
            "a", "é", "😀", "\"", "\\", "/", "\n", "\u{1}", "&", "=", "%", "+", " ", "\u{7F}",
            "\u{2028}",
        ]
        for _ in 0..<500 {
            func text() -> String {
                (0..<Int.random(in: 0...8, using: &random)).map { _ in
                    pieces.randomElement(using: &random)!
                }.joined()
            }
            var object: [String: String] = [:]
            for _ in 0..<Int.random(in: 0...5, using: &random) { object[text() + "k"] = text() }
            let json = Array(try JSONEncoder().encode(object))
            let bytes = Array(try #require(form(json), "seed \(random.seed)").utf8)
            var fields = FormFields(0..<bytes.count, form: .query)
            var found: [String: String] = [:]
            while let field = fields.next(in: bytes.span) {
                func decoded(_ range: Range<Int>) -> String {
                    var decoder = FormDecoder(range, form: .query)
                    var text: [UInt8] = []
                    while let byte = decoder.next(in: bytes.span) { text.append(byte) }
                    return String(decoding: text, as: UTF8.self)
                }
                found[decoded(field.name)] = decoded(field.value)
            }
            #expect(found == object, "seed \(random.seed)")
        }
    }

    @Test func `damaged JSON is accepted only where Foundation accepts it`() {
        var random = Generator()
        let palette = Array(#"{}[]":,\u0aetrufn1-+.e "#.utf8)
        let seeds = JSONCase.cases.map { Array($0.json.utf8) }.filter { !$0.isEmpty }
        for _ in 0..<4000 {
            var bytes = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = palette.randomElement(using: &random)!
            }
            guard let form = form(bytes) else { continue }
            // Whatever the bytes were, a form is plain text.
            #expect(form.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "seed \(random.seed)")
            // Foundation refuses lone surrogates, as I-JSON does; here they are replaced.
            if String(decoding: bytes, as: UTF8.self).contains("\\u") { continue }
            // Nor does it take invalid UTF-8, which a text of a record replaces.
            let text = String(decoding: bytes, as: UTF8.self)
            let value = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            #expect(value is [String: Any], "seed \(random.seed): \(text)")
        }
    }

    @Test(
        arguments: [
            ("application/x-www-form-urlencoded", true), ("application/json", false),
            ("text/plain", true),
            ("Text/Plain;charset=UTF-8", true), ("text/plain ; x=y; charset=\"utf-8\"", true),
            ("text/plain;charset=utf-16", nil), ("application/json;charset=latin1", nil),
            ("text/html", nil),
            ("multipart/form-data; boundary=x", nil), ("application/octet-stream", nil), ("", nil),
            (nil, nil),
            ("text/plain\r\nContent-Type: text/plain", nil),
            ("text/plain\r\nContent-Encoding: gzip", nil),
        ] as [(String?, Bool?)])
    func `the type decides how a body is read`(_ type: String?, _ isRead: Bool?) {
        let posted = PostedForm()
        let bytes = Array(EdgeClient.post("/hit?q=1&a=2", type, "a=b").utf8)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(bytes.span, at: 0) == .request)
        var head = machine.head
        let refusal = posted.take(&head, bytes.span)
        switch isRead {
        case true?:
            #expect(refusal == nil)
            let form = posted.bytes[head.query.lowerBound..<head.query.upperBound]
            #expect(String(decoding: form, as: UTF8.self) == "a=b&q=1&a=2")
            let host = posted.bytes[head.host.lowerBound..<head.host.upperBound]
            #expect(String(decoding: host, as: UTF8.self) == "pixels.example")
        case false?: #expect(refusal == .malformed)
        case nil: #expect(refusal == .unsupported)
        }
        let room = posted.bytes.capacity
        posted.wipe()
        #expect(posted.bytes.isEmpty)
        #expect(posted.bytes.capacity == room)
    }
}
