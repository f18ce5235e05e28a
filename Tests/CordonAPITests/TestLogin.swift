import Bytes
import CordonModel
import CordonTokens
import Crypto
import TestSupport

/// Another issuer with one key, whose tokens a region accepts.
struct TestLogin {
    private let key = Ed25519PrivateKey.generate().key
    /// What it calls the person that its tokens are for.
    let person = "jane@mail.example"
    let issuer = TrustedIssuer(
        issuer: "https://login.example", audience: "cordon",
        keys: .file(.init(path: "", text: "", line: 1, column: 1)),
        role: .claim("groups", ["team": "analyst"]), purposes: .fixed(["measuring"]),
        places: .fixed(["DE"]))

    init() { SentValues.note(person) }

    /// Its keys in a text, or none.
    private struct KeySetText: KeySetSource {
        let json: String?
        struct Down: Error {}
        func read(bytesMax: Int) throws -> KeySetReading {
            guard let json else { throw Down() }
            return KeySetReading(bytes: Array(json.utf8))
        }
    }

    /// - Parameter isDown: whether the keys cannot be read.
    func keys(isDown: Bool = false) -> IssuerKeys {
        let x = Base64.encode(key.publicKey.bytes, alphabet: .url)
        let set = #"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"\#(x)"}]}"#
        return IssuerKeys(issuer, source: KeySetText(json: isDown ? nil : set))
    }

    /// A token for somebody of `group`, from the beginning of the tests' clock on.
    func token(_ group: String) -> String {
        let second = APIFixture.start.microseconds / 1_000_000
        let claims =
            #"{"iss":"\#(issuer.issuer)","aud":"cordon","sub":"\#(person)","jti":"1","#
            + #""iat":\#(second),"exp":\#(second + 600),"groups":["\#(group)"]}"#
        let input = [#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#, claims].map {
            Base64.encode(Array($0.utf8), alphabet: .url)
        }.joined(separator: ".")
        return input + "." + Base64.encode(key.sign(Array(input.utf8)), alphabet: .url)
    }
}
