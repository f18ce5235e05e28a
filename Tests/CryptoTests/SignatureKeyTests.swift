import Bytes
import Crypto
import Testing

/// A published signature: key, message and signature as the document has them.
struct SignatureVector: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let key: @Sendable () throws -> SignatureKey
    let message: String
    let signature: String

    static func bytes(_ text: String) -> [UInt8] {
        guard let bytes = Base64.decode(text, alphabet: .url) else {
            preconditionFailure("no base64url: \(text)")
        }
        return bytes
    }

    private static let claims =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    static let modulus = bytes(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    )

    static let all = [
        SignatureVector(
            testDescription: "RS256 of RFC 7515, appendix A.2",
            key: { try SignatureKey(modulus: modulus, exponent: [1, 0, 1], isPSS: false) },
            message: "eyJhbGciOiJSUzI1NiJ9." + claims,
            signature:
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        ),
        SignatureVector(
            testDescription: "ES256 of RFC 7515, appendix A.3",
            key: {
                try SignatureKey(
                    .p256, x: bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                    y: bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"))
            }, message: "eyJhbGciOiJFUzI1NiJ9." + claims,
            signature:
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
        SignatureVector(
            testDescription: "EdDSA of RFC 8037, appendix A.4",
            key: {
                try SignatureKey(ed25519: bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
            }, message: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature:
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        ),
    ]
}

@Suite struct `Signatures of others` {
    @Test(arguments: SignatureVector.all)
    func `are verified as published, and no longer with a bit changed`(
        _ vector: SignatureVector
    ) throws {
        let key = try vector.key()
        let message = Array(vector.message.utf8)
        let signature = SignatureVector.bytes(vector.signature)
        #expect(key.isValid(signature: signature, for: message))
        #expect(!key.isValid(signature: signature, for: message + [0x20]))
        for index in signature.indices where index % 7 == 0 {
            var changed = signature
            changed[index] ^= 1
            #expect(!key.isValid(signature: changed, for: message))
        }
        #expect(!key.isValid(signature: [0] + signature, for: message))
        #expect(!key.isValid(signature: signature.dropLast(), for: message))
        #expect(!key.isValid(signature: [], for: message))
        let zeros = [UInt8](repeating: 0, count: signature.count)
        #expect(!key.isValid(signature: zeros, for: message))
    }

    @Test func `are not verified by the same key under the other padding`() throws {
        let vector = SignatureVector.all[0]
        let key = try SignatureKey(
            modulus: SignatureVector.modulus, exponent: [1, 0, 1], isPSS: true)
        #expect(key.algorithm == .ps256)
        #expect(
            !key.isValid(
                signature: SignatureVector.bytes(vector.signature),
                for: Array(vector.message.utf8)))
    }

    @Test func `need a modulus of 2,048 bits and an exponent that is no toy`() throws {
        let modulus = SignatureVector.modulus
        func make(_ modulus: [UInt8], _ exponent: [UInt8]) throws {
            _ = try SignatureKey(modulus: modulus, exponent: exponent, isPSS: false)
        }
        try make([0] + modulus, [0, 1, 0, 1])
        var short = modulus
        short[0] &= 0x7F
        var even = modulus
        even[255] &= 0xFE
        for (modulus, exponent) in [
            (short, [1, 0, 1]), (Array(modulus.prefix(128)), [1, 0, 1]), (even, [1, 0, 1]),
            ([], [1, 0, 1]), (modulus, [3]), (modulus, [1, 0, 2]), (modulus, []),
            (modulus, [UInt8](repeating: 0xFF, count: 9)),
            (Array(repeating: 0xFF, count: 1025), [1, 0, 1]),
        ] as [([UInt8], [UInt8])] {
            #expect(throws: SignatureKeyError.weak) { try make(modulus, exponent) }
        }
    }

    @Test func `need a point of the curve that is named`() throws {
        let x = SignatureVector.bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
        let y = SignatureVector.bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
        var off = y
        off[31] ^= 1
        #expect(throws: SignatureKeyError.malformed) { try SignatureKey(.p256, x: x, y: off) }
        #expect(throws: SignatureKeyError.malformed) { try SignatureKey(.p384, x: x, y: y) }
        let zeros = [UInt8](repeating: 0, count: 16)
        #expect(throws: SignatureKeyError.malformed) {
            try SignatureKey(.p384, x: zeros + x, y: zeros + y)
        }
        #expect(throws: SignatureKeyError.malformed) { try SignatureKey(.p256, x: [], y: y) }
        #expect(throws: SignatureKeyError.malformed) { try SignatureKey(ed25519: y.dropLast()) }
    }
}
