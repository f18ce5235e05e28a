internal import CPCRE2

/// One compiled regular expression (`pcre2_code`); immutable, so any thread may run it.
///
/// Bytes are matched as bytes: the rules are ASCII, and a user agent need not be valid UTF-8.
@safe final class Expression: @unchecked Sendable {
    // Sendable: the code is never changed after `init`, and PCRE2 reads it only.
    private let code: OpaquePointer

    /// Why a pattern could not be compiled: PCRE2's number and the place in the pattern.
    struct Malformed: Error {
        let number: Int32
        let offset: Int
    }

    init(_ pattern: [UInt8], ignoringCase: Bool) throws(Malformed) {
        var number: Int32 = 0
        var offset = 0
        let options = ignoringCase ? PCRE2_CASELESS : 0
        // SAFETY: the array outlives the call, which copies what it needs.
        let code = unsafe pattern.withUnsafeBufferPointer { pattern in
            unsafe pcre2_compile_8(
                pattern.baseAddress, pattern.count, options, &number, &offset, nil)
        }
        guard let code = unsafe code else { throw Malformed(number: number, offset: offset) }
        unsafe self.code = code
        // Where the machine has no compiler in PCRE2, matching falls back to the interpreter by itself.
        _ = unsafe pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    }

    deinit { unsafe pcre2_code_free_8(code) }

    /// Whether the pattern occurs in `subject`; the groups are then in `workspace`. A match that exceeds the
    /// workspace's limits counts as none.
    func matches(_ subject: UnsafeBufferPointer<UInt8>, _ workspace: ExpressionWorkspace) -> Bool {
        unsafe pcre2_match_8(
            code, subject.baseAddress, subject.count, 0, 0, workspace.data, workspace.context) > 0
    }
}

/// What one thread needs to run expressions: room for the groups, a stack for compiled code, and the limits.
@safe final class ExpressionWorkspace {
    fileprivate let data: OpaquePointer
    fileprivate let context: OpaquePointer
    private let stack: OpaquePointer?

    /// Groups beyond these are not asked for by any replacement (`$1` to `$9`).
    private static let groupsMax: UInt32 = 10
    /// Steps after which a match is given up: a thousand times what the slowest ordinary one takes.
    private static let stepsMax: UInt32 = 50_000
    private static let stackBytesMax = 512 * 1024

    init() {
        guard let data = unsafe pcre2_match_data_create_8(Self.groupsMax, nil),
            let context = unsafe pcre2_match_context_create_8(nil)
        else { fatalError("out of memory") }
        unsafe self.data = data
        unsafe self.context = context
        unsafe pcre2_set_match_limit_8(context, Self.stepsMax)
        unsafe pcre2_set_depth_limit_8(context, Self.stepsMax)
        unsafe stack = pcre2_jit_stack_create_8(32 * 1024, Self.stackBytesMax, nil)
        if let stack = unsafe stack {
            unsafe pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
        }
    }

    deinit {
        unsafe pcre2_match_data_free_8(data)
        unsafe pcre2_match_context_free_8(context)
        if let stack = unsafe stack { unsafe pcre2_jit_stack_free_8(stack) }
    }

    /// Where group `number` of the last match stands in its subject; nil when it took no part.
    func group(_ number: Int) -> Range<Int>? {
        guard number < Int(unsafe pcre2_get_ovector_count_8(data)),
            let vector = unsafe pcre2_get_ovector_pointer_8(data)
        else { return nil }
        // SAFETY: the vector has two numbers for each group that was just checked to exist.
        let start = unsafe vector[2 * number]
        let end = unsafe vector[2 * number + 1]
        // PCRE2 marks an unset group with the largest number, which arrives here as -1 or as the maximum.
        guard start >= 0, start != .max, end >= start else { return nil }
        return Int(start)..<Int(end)
    }
}
