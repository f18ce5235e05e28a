/// What the gate lets through, by name. Additions need a reason why they read nothing but their arguments, reach no
/// setting, file, network, clock of another machine or other query, and raise no error of the caller's making.
enum GateLists {
    /// Sources that make rows from their arguments alone.
    static let tableFunctions: Set<String> = ["unnest", "range", "generate_series"]

    static let operators: Set<String> = [
        "ARRAY_CONSTRUCTOR", "ARRAY_EXTRACT", "ARRAY_SLICE", "COMPARE_IN", "COMPARE_NOT_IN",
        "GROUPING_FUNCTION", "OPERATOR_COALESCE", "OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NULL",
        "OPERATOR_NOT", "OPERATOR_TRY", "STRUCT_EXTRACT",
    ]

    static let types: Set<String> = [
        "BIGINT", "BLOB", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER",
        "INTERVAL", "SMALLINT", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS",
        "TIMESTAMP_NS", "TIMESTAMP_S", "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT",
        "UTINYINT", "UUID", "VARCHAR",
    ]

    /// Types that the parser leaves to the catalog.
    static let unboundTypes: Set<String> = ["json"]

    static let aggregates: Set<String> = words(
        """
        any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_min argmax argmin array_agg avg
        bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg
        first fsum geomean geometric_mean group_concat histogram json_group_array
        json_group_object kahan_sum kurtosis last list listagg mad max max_by mean
        median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept
        regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp string_agg sum sumkahan
        var_pop var_samp variance weighted_avg wavg
        """)

    static let windowFunctions: Set<String> = words(
        """
        cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
        """)

    static let scalars: Set<String> = words(
        """
        !~~ !~~* % & && * ** + - ->> -> / // << <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~ abs acos add age array_append
        array_concat array_contains array_distinct array_extract array_has array_has_all array_has_any array_indexof
        array_intersect array_length array_position array_prepend array_reverse array_reverse_sort array_slice array_sort
        array_to_string array_transform array_filter array_unique array_value array_zip ascii asin atan atan2 bar base64 bin
        bit_count bit_length cardinality cbrt ceil ceiling century char_length character_length chr concat concat_ws
        contains cos cot current_date current_localtime current_localtimestamp damerau_levenshtein date_add date_diff
        date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear
        days_in_month decade degrees divide editdist3 element_at ends_with epoch epoch_ms epoch_ns epoch_us
        equi_width_bins era even exp factorial fdiv filter flatten floor fmod format format_bytes formatreadabledecimalsize
        formatreadablesize from_base64 from_hex gcd get_current_time get_current_timestamp greatest hamming hash hex hour
        icu_sort_key instr isfinite isinf isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json
        json_array json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text
        json_extract_string json_keys json_object json_quote json_type json_valid json_value julian last_day lcase lcm
        least left left_grapheme len length length_grapheme levenshtein list_any_value list_append list_apply list_avg
        list_cat list_concat list_contains list_count list_distinct list_element list_extract list_filter list_first
        list_has list_has_all list_has_any list_indexof list_intersect list_last list_max list_median list_min list_mode
        list_pack list_position list_prepend list_product list_reduce list_reverse list_reverse_sort list_select
        list_slice list_sort list_string_agg list_sum list_transform list_unique list_value list_where list_zip ln log
        log10 log2 lower lpad ltrim make_date make_time make_timestamp make_timestamptz map map_concat map_contains
        map_contains_entry map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys
        map_values md5 md5_number microsecond millennium millisecond minute mismatches mod month monthname multiply
        nfc_normalize normalized_interval not_ilike_escape not_like_escape like_escape ilike_escape now nullif
        octet_length ord parse_dirname parse_filename parse_path pi position pow power prefix printf quarter radians range
        generate_series regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
        regexp_split_to_array repeat replace reverse right right_grapheme round round_even row rpad rtrim second sha1
        sha256 sign sin split split_part sqrt starts_with str_split str_split_regex strftime string_split
        string_split_regex string_to_array strip_accents strlen strpos strptime struct_extract struct_extract_at
        struct_insert struct_pack substr substring substring_grapheme subtract suffix tan time_bucket timezone
        timezone_hour timezone_minute to_base to_base64 to_binary to_centuries to_days to_decades to_hex to_hours to_json
        to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks
        to_years today transaction_timestamp translate trim trunc try_strptime typeof ucase unbin unhex unicode unnest
        upper url_decode url_encode uuid_extract_timestamp week weekday weekofyear xor year yearweek
        """)

    /// Those of ``scalars`` that make an interval of a number.
    static let intervals: Set<String> = words(
        """
        to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes to_months
        to_quarters to_seconds to_weeks to_years
        """)

    /// What stands as a name and is a call that tells of the engine.
    static let callsWithoutParentheses: Set<String> = [
        "current_catalog", "current_role", "current_schema", "current_user", "session_user",
    ]

    static let functions = aggregates.union(scalars)

    private static func words(_ text: String) -> Set<String> {
        Set(text.split { $0 == " " || $0 == "\n" }.map(String.init))
    }
}
