// Places of IP addresses: reads `tor-geoipdb` lists, MaxMind DB files and CSV ranges, compiles them into one
// flat table, and looks addresses up in that table in nanoseconds.
//
// A table covers both address spaces whole: what no source knows, and what has no place on purpose
// (``SpecialBlock``), is an explicit unknown range with place 0. A table file is checked to the last
// byte when it is opened, so a lookup can trust it. This target does not decide anything by a place.
// Start at ``GeoTable`` to read and at ``GeoTableBuilder`` to write; `Docs/formats/geo-table.md` draws the file.
