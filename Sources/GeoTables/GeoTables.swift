// Places of IP addresses: reads MaxMind DB, CSV and `tor-geoipdb` sources, compiles them into one flat table and
// looks addresses up in it in nanoseconds.
