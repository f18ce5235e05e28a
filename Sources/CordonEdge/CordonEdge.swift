// The collector: sockets to journal. Locates, decides, transforms in memory, commits, and only then answers.
