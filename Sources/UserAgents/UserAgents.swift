// Browser, operating system and device family of a user agent, by the rules of uap-core.
//
// The only importer of `CPCRE2`.
