/// A region's keys, and the one function that turns an identifier into a pseudonym.
///
/// Keys of different regions, fields and epochs are independent random bytes, so a pseudonym says nothing in
/// another region or epoch. This target never sends a key anywhere and never replaces one. Start at
/// ``RegionKeys`` and ``PseudonymKey``.
package enum CordonKeys {}
