import Bytes

/// The bytes of published hexadecimal digits.
package func hex(_ digits: String) -> [UInt8] { Bytes.bytes(hex: digits)! }
