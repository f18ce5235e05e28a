// Wires the services into running regions and supplies each with what it asked for by a protocol: the lake with
// a catalog, queries with the files of a region, requests of people with both.
//
// Nothing is decided here: a service that needs another declares what it needs, and this target is the only one that
// sees both. Start at ``Node``, which `cordon up` runs: collectors, delivery, upkeep, reload and orderly shutdown.
