// The durable queue between edge and lake: one SQLite file a region, group-committed, with the suppression list.
