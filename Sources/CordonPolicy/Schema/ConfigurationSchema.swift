internal import Consent
internal import CordonModel

/// Every key of every configuration file with its values, default and unit: what the reference page and the JSON Schemas for
/// editors are made from.
///
/// The readers do not read by it, for their messages know more than a schema can say; a test holds every set of keys that a
/// reader knows against those that stand here.
package enum ConfigurationSchema {
    package static let files = [region, policy, atlas, invariants, cases, accepted]

    static let name = "^[a-z][a-z0-9-]{0,39}$"
    static let parameterName = "^[A-Za-z0-9._-]{1,64}$"
    static let site = "^[a-z0-9.*-]+$"
    static let path = "^[^/].*[^/]$|^[^/]$|^/.*[^/]$"

    static let places = SchemaShape.list(.text(form: nil), least: 1)
    private static let sites = SchemaShape.list(.text(form: site), least: 1)
    private static let needs = SchemaKey(
        "needs", .anyOf([.text(form: name), .list(.text(form: name), least: 1)]),
        "purpose or purposes that must all be granted for the field to be kept")
    private static func addressBits(
        _ ipv4: ClosedRange<Int>, _ ipv6: ClosedRange<Int>, required: Bool
    ) -> SchemaShape {
        .mapping(
            SchemaMapping([
                SchemaKey(
                    "ipv4", .integer(ipv4), required: required, "leading bits of an IPv4 address"),
                SchemaKey(
                    "ipv6", .integer(ipv6), required: required, "leading bits of an IPv6 address"),
            ]))
    }

    private static let limits = Invariants.Limits.floor

    // MARK: Regions

    static let region = SchemaFile(
        name: "region", path: "Regions/NAME.yaml", title: "Region",
        shape: .mapping(
            SchemaMapping([
                SchemaKey(
                    "region", .text(form: name), required: true, "name, that of the file too"),
                SchemaKey("title", .text(form: nil), required: true, "words for people"),
                SchemaKey(
                    "jurisdiction", .text(form: "^[A-Z]{2}$"), required: true,
                    "ISO 3166-1 code of the country in which the machines stand"),
                SchemaKey("node", .word(["local"]), fallback: "local", "where the region runs"),
                SchemaKey("collector", .mapping(collector), required: true, "how hits come in"),
                SchemaKey(
                    "service", .mapping(service), fallback: "none",
                    "where the catalog and queries are asked (`cordon serve`)"),
                SchemaKey(
                    "lake",
                    .mapping(
                        SchemaMapping([
                            SchemaKey(
                                "location", .text(form: "^file:.+$"), required: true,
                                "`file:PATH`, relative to the project"),
                            SchemaKey(
                                "sealed",
                                .list(.word(SealableColumn.allCases.map(\.rawValue)), least: 0),
                                fallback: "none",
                                "columns whose values are sealed under a key of the person's, which an erasure destroys first; no query shows them"
                            ),
                        ])), fallback: "file:var/NAME/lake", "where data files lie"),
                SchemaKey(
                    "catalog",
                    .mapping(
                        SchemaMapping([
                            SchemaKey(
                                "store", .text(form: "^sqlite:.+$"), required: true,
                                "`sqlite:PATH`, relative to the project")
                        ])), fallback: "sqlite:var/NAME/catalog.sqlite",
                    "where the table's pointer stands"),
                SchemaKey(
                    "engine",
                    .mapping(
                        SchemaMapping([
                            SchemaKey("driver", .word(["duckdb"]), required: true, "the engine")
                        ])), fallback: "duckdb", "what reads and writes data files"),
                SchemaKey(
                    "keys",
                    .mapping(
                        SchemaMapping([
                            SchemaKey(
                                "directory", .text(form: nil), required: true,
                                "a path, relative to the project")
                        ])), fallback: "var/NAME/keys", "where keys lie"),
                SchemaKey(
                    "maintenance", .mapping(maintenance), "how the lake is kept in order"),
            ])))

    private static let maintenance = SchemaMapping(
        RegionReader.maintenanceKeys.map { key in
            SchemaKey(
                key.name, .integer(key.range),
                fallback: "\(LakeMaintenance()[keyPath: key.value])",
                maintenanceTexts[key.name] ?? "")
        })

    private static let maintenanceTexts = [
        "freshness_seconds": "seconds after which a hit can be read at the latest",
        "every_minutes": "minutes between two runs of retention and maintenance",
        "compact_files": "small files of a day from which on they are made one",
        "small_megabytes": "a file below it is small",
        "file_megabytes": "files are made one as long as they stay below it together",
        "manifests": "small manifests from which on they are made few",
        "snapshot_minutes": "minutes that a snapshot stays at least, for whoever reads it",
        "snapshots_min": "newest snapshots that stay however old they are",
        "dead_letter_days": "days after which a batch that could not be delivered goes",
        "orphan_hours":
            "age from which on a file goes that nothing refers to and nobody is writing",
    ]

    private static let socketAddress = SchemaShape.text(
        form: "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$")

    private static let collector = SchemaMapping([
        SchemaKey(
            "listen", socketAddress, required: true,
            "address and port, such as `127.0.0.1:8401` or `[::1]:8401`; port 0 takes a free one"),
        SchemaKey(
            "trusted_proxies", .list(.text(form: "^[0-9a-fA-F.:]+/[0-9]{1,3}$"), least: 0),
            fallback: "none", "prefixes of peers that may speak for a client"),
        SchemaKey(
            "client_address",
            .word(RegionConfiguration.ClientAddressSource.allCases.map(\.rawValue)),
            fallback: "peer",
            "who says what the client's address is; all but `peer` need `trusted_proxies`"),
        SchemaKey(
            "durability", .word(RegionConfiguration.Durability.allCases.map(\.rawValue)),
            fallback: "durable",
            "`durable` answers after the sync, `relaxed` before it and syncs within 50 ms"),
        SchemaKey(
            "limits",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "connections_per_address",
                        .integer(RegionConfiguration.AddressLimits.connectionsRange),
                        fallback:
                            "\(RegionConfiguration.AddressLimits().connectionsPerAddress)",
                        "connections of one peer address at a time"),
                    SchemaKey(
                        "requests_per_second_per_address",
                        .integer(RegionConfiguration.AddressLimits.requestsPerSecondRange),
                        fallback:
                            "\(RegionConfiguration.AddressLimits().requestsPerSecondPerAddress)",
                        "requests a second of one peer address"),
                ])), "what one peer address may do, unless it is a trusted proxy"),
        tls,
    ])

    private static let tls = SchemaKey(
        "tls",
        .mapping(
            SchemaMapping([
                SchemaKey(
                    "certificate", .text(form: nil), required: true,
                    "PEM file: the server's certificate, then its intermediates"),
                SchemaKey(
                    "key", .text(form: nil), required: true,
                    "PEM file: its key without a passphrase"),
                SchemaKey(
                    "client_ca", .text(form: nil), fallback: "none is asked for",
                    "PEM file: authorities whose certificates clients must show"),
                SchemaKey(
                    "minimum",
                    .word(RegionConfiguration.TLS.MinimumVersion.allCases.map(\.rawValue)),
                    fallback: "1.2", "oldest version of TLS that is spoken"),
            ])), fallback: "plain HTTP", "TLS of the listener")

    private static let service = SchemaMapping([
        SchemaKey(
            "listen", socketAddress, required: true,
            "address and port; beyond loopback only with `tls`"),
        tls,
        SchemaKey(
            "postgres", socketAddress,
            fallback: "none",
            "address and port for clients of PostgreSQL, with the certificate of `tls`; beyond loopback only with that"
        ),
        SchemaKey(
            "issuers", .list(.mapping(issuer), least: 0), fallback: "none",
            "other issuers whose access tokens are accepted"),
    ])

    private static let issuer = SchemaMapping([
        SchemaKey(
            "issuer", .text(form: "^https://[^?#\\s]+$"), required: true,
            "the claim `iss`, to the byte"),
        SchemaKey(
            "audience", .text(form: nil), required: true, "what the claim `aud` must hold"),
        SchemaKey(
            "jwks", .text(form: nil), fallback: "where the issuer's own description says",
            "a file, or an address such as `https://login.example/keys`, with the issuer's public keys, a JSON Web Key Set; read anew when it has its age, and for a key that it lacks"
        ),
        SchemaKey(
            "authorities", .text(form: nil), fallback: "those that the system trusts",
            "PEM file: authorities of the servers that keys are fetched from"),
        SchemaKey(
            "type", .word(TrustedIssuer.TokenType.allCases.map(\.rawValue)), fallback: "at+jwt",
            "what the token's header calls it; `JWT` for issuers that call all of theirs so"),
        SchemaKey(
            "role", .anyOf([.text(form: name), mapped]), required: true,
            "the role of all its tokens, or what a claim's values are worth; a token of two roles is refused"
        ),
        SchemaKey(
            "purposes", .anyOf([.list(.text(form: name), least: 1), mapped]), required: true,
            "as `role`, several"),
        SchemaKey(
            "places", .anyOf([.list(.text(form: place), least: 1), mapped]), required: true,
            "as `purposes`: places that may be asked from, such as `DE`"),
    ])

    private static let place = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"

    private static let mapped = SchemaShape.mapping(
        SchemaMapping([
            SchemaKey("claim", .text(form: nil), required: true, "name of the claim"),
            SchemaKey(
                "map", .dictionary(name: "VALUE", form: "^.+$", .text(form: nil)), required: true,
                "what a value of the claim is worth; others are worth nothing"),
        ]))

    // MARK: Policies

    static let policy = SchemaFile(
        name: "policy", path: "Policies/NAME.yaml", title: "Policy",
        shape: .mapping(
            SchemaMapping(
                [
                    SchemaKey(
                        "policy", .text(form: name), required: true, "name, that of the file too"),
                    SchemaKey("title", .text(form: nil), required: true, "words for people"),
                    SchemaKey(
                        "source", .text(form: nil), required: true,
                        "the law or decision that it carries out"),
                    SchemaKey(
                        "applies_to", .mapping(scope), required: true, "whose hits it decides"),
                    SchemaKey(
                        "route", .anyOf([.word(["refuse"]), .mapping(route)]), required: true,
                        "the home region, or `refuse`, with which nothing is kept and `consent`, `fields`, `retention`, "
                            + "`sampling`, `access` and `transfer` must not stand"),
                    SchemaKey(
                        "consent", .mapping(consent),
                        "what counts as consent, and what a refusal does"),
                    SchemaKey(
                        "fields", .mapping(fields),
                        "how each field is kept; one without a rule is dropped"),
                    SchemaKey("retention", .mapping(retention), "for how long"),
                    SchemaKey(
                        "sampling", .number(above: 0, upTo: 100), fallback: "100",
                        "percentage of hits that are kept, with up to four decimals"),
                    SchemaKey(
                        "access", .list(.mapping(access), least: 0), fallback: "nobody",
                        "who may see what, for which purpose and from where"),
                    SchemaKey(
                        "transfer", .list(.mapping(transfer), least: 0), fallback: "nowhere",
                        "to where aggregates may leave"),
                ],
                unless: .init(
                    key: "route", word: "refuse", required: ["consent", "fields", "retention"],
                    barred: ["consent", "fields", "retention", "sampling", "access", "transfer"]))))

    private static let scope = SchemaMapping([
        SchemaKey(
            "places", places, required: true,
            "ISO 3166-1 codes, ISO 3166-2 codes, groups of the atlas, or `world`"),
        SchemaKey(
            "sites", sites, fallback: "[\"*\"]",
            "host names, `*.example.org` for any below, `*` for all; in lowercase"),
    ])

    private static let route = SchemaMapping([
        SchemaKey("region", .text(form: name), required: true, "the home region"),
        SchemaKey(
            "away", .word(["refuse"]), required: true,
            "what becomes of a hit when that region is not on this node"),
        SchemaKey(
            "relocate", places, fallback: "nowhere",
            "jurisdictions to whose regions `cordon relocate` may move stored rows, without their pseudonyms, when a later geo "
                + "table makes one of them the home; within one jurisdiction they may always be moved"
        ),
    ])

    private static let signal =
        "^(gpc|dnt|tcf|gpp|usp|gcm|(param|cookie):[A-Za-z0-9._-]{1,64})$"

    private static let consent = SchemaMapping([
        SchemaKey(
            "signals", .list(.text(form: signal), least: 1), required: true,
            "`gpc`, `dnt`, `tcf`, `gpp`, `usp`, `gcm`, `param:NAME`, `cookie:NAME`"),
        SchemaKey(
            "when_absent", .word(["granted", "denied"]), required: true,
            "what silence counts as: `denied` where the law is opt-in, `granted` where it is opt-out"
        ),
        SchemaKey(
            "purposes",
            .dictionary(name: "PURPOSE", form: name, .anyOf([.nothing, .mapping(meaning)])),
            required: true,
            "the purposes, each with what it stands for in consent strings or with nothing"),
        SchemaKey(
            "denied", .word(CompiledPolicy.ConsentRule.Denied.allCases.map(\.rawValue)),
            required: true,
            "what becomes of a hit without consent: `count` keeps the hour, site, event and country, `drop` nothing, "
                + "`keep` the fields that need no purpose"),
        SchemaKey(
            "max_age", .days, fallback: "any age",
            "a TC string whose last update is older refuses every purpose"),
    ])

    private static let meaning = SchemaMapping([
        SchemaKey(
            "tcf", .list(.integer(1...11), least: 1), "TCF purposes, all of which must be granted"),
        SchemaKey(
            "special_features", .list(.integer(1...2), least: 1),
            "TCF special features, all of which must be opted in to"),
        SchemaKey(
            "basis", .word(CompiledPolicy.Meaning.Basis.allCases.map(\.rawValue)),
            fallback: "consent", "legal basis asked for; needs `tcf`"),
        SchemaKey(
            "vendor", .anyOf([.integer(1...65_535), .word(["publisher"])]), fallback: "none",
            "id of the Global Vendor List on whose behalf the string is read, or `publisher`; needs `tcf`"
        ),
        SchemaKey(
            "opt_outs", .list(.word(OptOuts.names), least: 0),
            fallback: "[" + CompiledPolicy.Meaning.optOutsDefault.joined(separator: ", ") + "]",
            "opt-outs of United States law that end the purpose"),
        SchemaKey(
            "gcm", .list(.word(ModeSignals.names), least: 1),
            "signals of Google's consent mode, all of which must be granted"),
        SchemaKey(
            "lasts", .days,
            "how long what is kept for the purpose serves it; decides nothing, `check` holds ages against it"
        ),
    ])

    private static func kept(
        _ words: [String], _ more: [SchemaKey] = []
    ) -> SchemaShape {
        .anyOf([
            .word(words + ["drop"]),
            .mapping(
                SchemaMapping(
                    [
                        SchemaKey("keep", .word(words), required: true, "how much of it is kept"),
                        needs,
                    ]
                        + more)),
        ])
    }

    private static let pseudonym = SchemaShape.anyOf([
        .word(["drop"]),
        .mapping(
            SchemaMapping([
                SchemaKey(
                    "pseudonym", .word(KeyPeriod.allCases.map(\.text)), required: true,
                    "for how long one key makes its pseudonyms"),
                SchemaKey("needs", needs.shape, required: true, needs.text),
            ])),
    ])

    private static let fields = SchemaMapping([
        SchemaKey(
            "ip",
            .anyOf([
                .word(["drop"]),
                .mapping(
                    SchemaMapping([
                        SchemaKey(
                            "truncate",
                            addressBits(1...limits.ipv4Bits, 1...limits.ipv6Bits, required: true),
                            required: true, "how much of the address is kept"),
                        needs,
                    ])),
            ]), fallback: "drop", "the address, truncated"),
        SchemaKey("user", pseudonym, fallback: "drop", "a pseudonym of `userid`"),
        SchemaKey(
            "visitor", pseudonym, fallback: "drop", "a pseudonym of address, user agent and site"),
        SchemaKey(
            "user_agent", kept(["family"]), fallback: "drop",
            "families of browser, system and device"),
        SchemaKey(
            "page",
            kept(
                ["path", "host"],
                [
                    SchemaKey(
                        "params", .list(.text(form: parameterName), least: 0), fallback: "none",
                        "parameters of the page's address that stay; not with `host`")
                ]), fallback: "drop", "the page's host, with its path or without"),
        SchemaKey("referrer", kept(["host"]), fallback: "drop", "the referrer's host"),
        SchemaKey("place", kept(["subdivision", "country"]), fallback: "drop", "the place"),
        SchemaKey(
            "language", kept(["primary"]), fallback: "drop", "the first language's primary tag"),
        SchemaKey(
            "params",
            .anyOf([
                .word(["drop"]),
                .mapping(
                    SchemaMapping([
                        SchemaKey(
                            "allow", .list(.text(form: parameterName), least: 0), required: true,
                            "parameters of the hit that are kept as they come; at most 64"), needs,
                    ])),
            ]), fallback: "drop", "parameters of the hit"),
    ])

    private static let ages = SchemaShape.dictionary(
        name: "FIELD",
        form: "^(" + FieldName.allCases.map(\.rawValue).joined(separator: "|") + ")$",
        .days)

    private static let retention = SchemaMapping(
        [
            SchemaKey(
                "preset", .text(form: name),
                "a name in the atlas's `retention_presets`, whose ages hold; own ones may be shorter"
            ),
            SchemaKey(
                "hits", .days, fallback: "as the preset",
                "how long a hit is kept, from its own day; required without a preset"),
            SchemaKey(
                "fields", ages, fallback: "as the preset, else as the hit",
                "fields that go before their hit does"),
        ], anyOf: ["preset", "hits"])

    // MARK: Atlas, invariants

    private static let codes = SchemaShape.list(.text(form: place), least: 1)

    static let atlas = SchemaFile(
        name: "atlas", path: "Policies/atlas.yaml", title: "Atlas",
        shape: .mapping(
            SchemaMapping([
                SchemaKey(
                    "groups",
                    .dictionary(
                        name: "GROUP", form: "^[A-Za-z0-9-]{2,40}$",
                        .mapping(
                            SchemaMapping([
                                SchemaKey(
                                    "title", .text(form: nil), required: true, "words for people"),
                                SchemaKey(
                                    "source", .text(form: nil), required: true,
                                    "the legal text or decision"),
                                SchemaKey(
                                    "checked", .day, required: true,
                                    "when the members were last held against it"),
                                SchemaKey(
                                    "members", .list(.text(form: nil), least: 0), required: true,
                                    "ISO 3166 codes and other groups"),
                                SchemaKey(
                                    "adequate_for", .list(.text(form: nil), least: 0),
                                    "places or groups whose data may go to the members without more"
                                ),
                                SchemaKey(
                                    "digest", .text(form: "^[0-9a-f]{12}$"),
                                    "stands for the members as they were on the day of the check"),
                                SchemaKey(
                                    "changes",
                                    .list(
                                        .mapping(
                                            SchemaMapping([
                                                SchemaKey(
                                                    "date", .day, required: true, "from which day"),
                                                SchemaKey("joins", codes, "who comes"),
                                                SchemaKey("leaves", codes, "who goes"),
                                                SchemaKey(
                                                    "source", .text(form: nil), required: true,
                                                    "the legal text or decision"),
                                            ])), least: 0), "dated comings and goings"),
                            ]))), required: true, "groups of places by name"),
                SchemaKey(
                    "retention_presets",
                    .dictionary(
                        name: "PRESET", form: name,
                        .mapping(
                            SchemaMapping([
                                SchemaKey(
                                    "title", .text(form: nil), required: true, "words for people"),
                                SchemaKey(
                                    "source", .text(form: nil), required: true,
                                    "the legal text or decision"),
                                SchemaKey(
                                    "checked", .day, required: true,
                                    "when the ages were last held against it"),
                                SchemaKey(
                                    "hits", .days, required: true,
                                    "longest time that a hit may be kept, from its own day"),
                                SchemaKey(
                                    "fields", ages, fallback: "as the hit",
                                    "longest times of fields that go before their hit does"),
                            ]))), fallback: "none",
                    "ages that policies take up by name (`retention.preset`)"),
            ])))

    static let invariants = SchemaFile(
        name: "invariants", path: "Policies/invariants.yaml", title: "Invariants",
        shape: .mapping(
            SchemaMapping([
                SchemaKey(
                    "limits",
                    .mapping(
                        SchemaMapping([
                            SchemaKey(
                                "ipv4", .integer(1...limits.ipv4Bits),
                                fallback: "\(limits.ipv4Bits)", "most bits of an IPv4 address"),
                            SchemaKey(
                                "ipv6", .integer(1...limits.ipv6Bits),
                                fallback: "\(limits.ipv6Bits)", "most bits of an IPv6 address"),
                            SchemaKey(
                                "retention", .days, fallback: "\(limits.retentionDays)d",
                                "longest retention of a hit"),
                        ])), "bounds of every policy"),
                SchemaKey(
                    "invariants", .list(.mapping(invariant), least: 0), fallback: "none",
                    "what must be provable; at most 100"),
            ])))

    private static let invariant = SchemaMapping([
        SchemaKey("name", .text(form: nil), required: true, "one line of at most 80 bytes"),
        SchemaKey("source", .text(form: nil), "what asks for it"),
        SchemaKey(
            "for",
            .mapping(
                SchemaMapping([
                    SchemaKey("places", places, "codes, groups, `world`, `unknown`"),
                    SchemaKey("sites", sites, "as in `applies_to`"),
                    SchemaKey(
                        "consent", .list(.word(ConsentState.allCases.map(\.text)), least: 1),
                        "states of consent"),
                    SchemaKey(
                        "lacking", .list(.text(form: name), least: 1),
                        "where none of these purposes is granted; at most 8"),
                ])), fallback: "everywhere", "where it is to hold"),
        SchemaKey(
            "region_in", .list(.text(form: nil), least: 1),
            "the home region, or where its jurisdiction lies"),
        SchemaKey(
            "never_keep", .list(.word(FieldName.allCases.flatMap(\.columns)), least: 1),
            "columns that stay empty"),
        SchemaKey("outcome_in", .list(.word(outcomes), least: 1), "the outcome"),
        SchemaKey("retention_max", .days, "longest retention of a hit"),
        SchemaKey("fields_max", ages, "longest age of a field that is kept"),
        SchemaKey(
            "truncate_at_least", addressBits(0...32, 0...128, required: false),
            "most bits of an address"),
        SchemaKey(
            "pseudonym_max", .word(KeyPeriod.allCases.map(\.text)),
            "longest life of a pseudonym's key"
        ),
        SchemaKey(
            "hears", .list(.text(form: signal), least: 1), "signals that the policy listens to"),
    ])

    static let outcomes = [Decision.Outcome.keep, .count, .drop, .refuse].map(\.text)
}
