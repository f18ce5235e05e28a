// Who may see what.
extension ConfigurationSchema {
    private static let minGroup = SchemaShape.integer(2...1_000_000)

    private static let noise = SchemaMapping([
        SchemaKey(
            "epsilon", .number(above: 0, upTo: 10), required: true,
            "of each count and sum of an answer, with up to four decimals; smaller is more noise"),
        SchemaKey(
            "budget", .number(above: 0, upTo: 999), required: true,
            "what the epsilons of an asker's answers may come to in a period"),
        SchemaKey(
            "per", .word(AccessRule.Noise.Period.allCases.map(\.rawValue)), required: true,
            "the period: 1, 7 or 30 days up to now"),
        SchemaKey(
            "rows", .integer(1...100_000), required: true,
            "most hits of one person that an answer is of; the others of theirs are left out"),
        SchemaKey(
            "value", .integer(1...1_000_000), fallback: "no sums",
            "most that one hit adds to a sum, up or down"),
    ])

    static let access = SchemaMapping([
        SchemaKey("role", .text(form: name), required: true, "who asks"),
        SchemaKey(
            "purposes", .list(.text(form: name), least: 1), required: true,
            "purposes of the policy's consent, and `data-subject-request`"),
        SchemaKey("from", places, required: true, "from where they may ask"),
        SchemaKey(
            "see", .word(AccessRule.Sight.allCases.map(\.rawValue)), required: true,
            "rows, or aggregates alone"),
        SchemaKey(
            "min_group", minGroup,
            "least number of people in a group; required with `aggregates`, barred with `rows`"
        ),
        SchemaKey(
            "small_groups", .word(AccessRule.SmallGroups.allCases.map(\.rawValue)),
            fallback: "suppress",
            "whether smaller groups are left out, or put together to one called `other`; barred with `rows`"
        ),
        SchemaKey(
            "noise", .mapping(noise), fallback: "none",
            "noise on counts and sums, and how much may be asked; barred with `rows`"),
        SchemaKey(
            "hide",
            .list(
                .word(["hit_id", "key_epoch"] + FieldName.allCases.flatMap(\.columns)), least: 0),
            fallback: "none", "columns that read as null"),
    ])

    static let transfer = SchemaMapping([
        SchemaKey("to", places, required: true, "to where"),
        SchemaKey("see", .word(["aggregates"]), required: true, "rows do not cross a border"),
        SchemaKey("min_group", minGroup, required: true, "least number of people in a group"),
    ])
}
