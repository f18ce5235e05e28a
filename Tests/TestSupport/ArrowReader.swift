import Foundation

/// pyarrow as the judge of Arrow streams: whether each is sound, and holds what JSON lines say.
package enum ArrowReader {
    package static let python = ShippedProject.root + "/.deps/venv/bin/python"
    package static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }

    /// Reads streams whole, validates all their arrays, and compares every value with the same answer as JSON lines.
    ///
    /// - Returns: what was wrong; empty when nothing was.
    package static func problems(
        of pairs: [(stream: String, jsonLines: String)]
    ) throws -> String {
        let result = try Tool.run(
            python, ["-c", comparison] + pairs.flatMap { [$0.stream, $0.jsonLines] })
        return result.exitCode == 0 && result.output == "well\n" ? "" : result.output
    }

    /// Defines `compare(stream, lines)`, which ends the program at the first difference.
    package static let definitions = #"""
        import datetime, decimal, json, struct, sys
        import pyarrow as pa

        class Number(str):
            pass

        def parse(line):
            return json.loads(line, parse_int=Number, parse_float=Number, object_pairs_hook=lambda pairs: ("object", pairs))

        EPOCH = datetime.datetime(1970, 1, 1)
        PER_SECOND = {"s": 1, "ms": 1000, "us": 1000000, "ns": 1000000000}

        def shown_time(at):
            return at.strftime("%H:%M:%S") + (f".{at.microsecond:06}" if at.microsecond else "")

        def check(scalar, shown, where):
            t = scalar.type
            def require(holds):
                if not holds:
                    raise SystemExit(f"{where}: {t}: {scalar} is {shown!r} in JSON")
            if not scalar.is_valid:
                return require(shown is None)
            require(shown is not None)
            if pa.types.is_boolean(t):
                require(shown is scalar.as_py())
            elif pa.types.is_integer(t):
                require(isinstance(shown, Number) and shown == str(scalar.as_py()))
            elif pa.types.is_floating(t):
                value, form = scalar.as_py(), "<f" if t.bit_width == 32 else "<d"
                if value != value:
                    require(shown == "nan")
                else:
                    require(struct.pack(form, value) == struct.pack(form, float(shown)))
            elif pa.types.is_decimal(t):
                require(isinstance(shown, Number) and shown == format(scalar.as_py(), "f"))
            elif pa.types.is_string(t) or pa.types.is_large_string(t):
                require(shown == scalar.as_py())
            elif pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t):
                require(shown == scalar.as_py().hex())
            elif pa.types.is_date32(t):
                require(shown == scalar.as_py().isoformat())
            elif pa.types.is_time(t):
                at = EPOCH + datetime.timedelta(microseconds=scalar.value * 1000000 // PER_SECOND[t.unit])
                require(shown == shown_time(at))
            elif pa.types.is_timestamp(t):
                at = EPOCH + datetime.timedelta(microseconds=scalar.value * 1000000 // PER_SECOND[t.unit])
                require(t.tz in (None, "UTC"))
                require(shown == f"{at:%Y-%m-%d}".rjust(10, "0") + "T" + shown_time(at) + ("Z" if t.tz else ""))
            elif pa.types.is_interval(t):
                months, days, nanoseconds = scalar.as_py()
                require(shown == f"P{months}M{days}DT{nanoseconds / 1e9}S")
            elif pa.types.is_map(t):
                require(shown[0] == "object" and len(shown[1]) == len(scalar.values))
                for (key, value), entry in zip(shown[1], scalar.values):
                    require(key == str(entry["key"].as_py()))
                    check(entry["value"], value, where)
            elif pa.types.is_struct(t):
                require(shown[0] == "object" and [name for name, _ in shown[1]] == [f.name for f in t])
                for index, (_, value) in enumerate(shown[1]):
                    check(scalar[index], value, where)
            elif pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t):
                require(len(shown) == len(scalar.values))
                for value, element in zip(shown, scalar.values):
                    check(element, value, where)
            else:
                raise SystemExit(f"{where}: no reading of {t}")

        def compare(stream, lines):
            with pa.memory_map(stream) as source:
                reader = pa.ipc.open_stream(source)
                table = reader.read_all()
                if source.tell() != source.size():
                    raise SystemExit(f"{stream}: something stands behind the end")
                table.validate(full=True)
                for column in table.columns:
                    for chunk in column.chunks:
                        for buffer in chunk.buffers():
                            if buffer is not None and buffer.address % 64 != 0:
                                raise SystemExit(f"{stream}: a buffer at {buffer.address}")
                with open(lines, encoding="utf-8") as file:
                    rows = [parse(line) for line in file.read().split("\n") if line]
                if len(rows) != table.num_rows:
                    raise SystemExit(f"{stream}: {table.num_rows} rows, {len(rows)} in JSON")
                for index, (_, members) in enumerate(rows):
                    if [name for name, _ in members] != table.schema.names:
                        raise SystemExit(f"{stream}: columns {table.schema.names}")
                    for place, (name, shown) in enumerate(members):
                        check(table.column(place)[index], shown, f"{stream}: row {index}, {name}")
                return table
        """#

    private static let comparison =
        definitions + "\n"
            + #"""
            for index in range(1, len(sys.argv), 2):
                compare(sys.argv[index], sys.argv[index + 1])
            print("well")
            """#
}
