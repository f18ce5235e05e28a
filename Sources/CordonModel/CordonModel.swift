/// The words of the product as types: the record of a hit, days and retention, regions, principals,
/// where a project keeps its files, and the one wrapper that raw personal values live in.
///
/// Pure values; no I/O, no Foundation. Everything above this layer speaks these types. Start at
/// ``HitRecord``, ``Sensitive`` and ``RegionConfiguration``.
package enum CordonModel {
    /// The version that `cordon --version` prints.
    package static let version = "0.1.0"
}
