import PostgresWire

/// A first packet and then messages: each is read whole or refused, and of what is read nothing is larger than what came. Statements are
/// cut, values of every type are taken out of their binary form and put back.
let postgresMessages: @Sendable ([UInt8]) -> String? = { input in
    var rest = input[...]
    if let (packet, end) = try? StartupPacket.read(input) {
        if end > input.count { return "a packet ends beyond what came" }
        if case .startup(let startup) = packet {
            let settings = StartupMessage.settings(inOptions: startup["options"] ?? "") ?? []
            let count = settings.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
            if count > input.count { return "settings are larger than their packet" }
        }
        rest = input[end...]
    }
    while let (message, end) = try? FrontendMessage.read(rest) {
        guard end > rest.startIndex, end <= rest.endIndex else { return "a message has no end" }
        // One byte less is no message yet.
        if (try? FrontendMessage.read(rest[..<(end - 1)])) != nil {
            return "a message is read before it is whole"
        }
        if let fault = fault(of: message) { return fault }
        rest = rest[end...]
    }
    return nil
}

private func fault(of message: FrontendMessage) -> String? {
    switch message {
    case .query(let sql), .parse(_, let sql, _):
        guard let statements = try? SQLText.statements(in: sql) else { return nil }
        for statement in statements {
            guard sql.contains(statement.text) else { return "a statement is not what was sent" }
            let again = try? SQLText.statements(in: statement.text)
            if again?.map(\.tokens) != [statement.tokens] {
                return "a statement is cut in two ways"
            }
        }
    case .bind(let bind):
        for value in bind.values.compactMap(\.self) {
            if let fault = fault(of: value) { return fault }
        }
    default: break
    }
    return nil
}

private func fault(of value: [UInt8]) -> String? {
    for type in PostgresType.all {
        guard let text = try? PostgresBinary.text(value, type) else { continue }
        guard let bytes = try? PostgresBinary.bytes(text, type),
            let again = try? PostgresBinary.text(bytes, type)
        else { return "a `\(type.name)` cannot be written back" }
        if again != text { return "a `\(type.name)` is another one when it comes back" }
    }
    return nil
}
