// A region's keys: pseudonym keys by field and epoch, digest keys, the audit signing key; files with mode 0600.
