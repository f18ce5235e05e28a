// Requests of data subjects: find, export, erase and verify, resumable, with suppression of future hits.
