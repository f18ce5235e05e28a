/// The collector: from a socket to a durable journal and an answer.
///
/// One thread a core runs one epoll loop each and owns its connections; one thread a region commits what all loops have
/// gathered. A hit is located on its full address, decided on, transformed, and only then written, into the memory
/// of a batch. Its answer leaves when the batch is in the journal of its home region.
///
/// INVARIANT: a raw address, identifier, user agent or URL stays in the connection's buffer and in ``ClientAddress``;
/// nothing here logs, counts or stores one. The hot path allocates nothing and takes no lock per hit. No Foundation.
/// Start at ``Collector``, then ``EdgeLoop`` and ``HitTransform``.
package enum CordonEdge {}
