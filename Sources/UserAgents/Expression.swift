internal import CPCRE2
internal import Synchronization

/// One regular expression, compiled (`pcre2_code`) when the first subject comes to it; any thread may run it.
///
/// All rules compiled take 40 MB, and the user agents of a busy collector come to some hundred of them. Bytes are matched as
/// bytes: the rules are ASCII, and a user agent need not be valid UTF-8.
@safe final class Expression: @unchecked Sendable {
    // Sendable: the pattern is immutable, and the code is never changed once others can see it; PCRE2 reads it only.
    private let pattern: [UInt8]
    private let options: UInt32
    /// The code's address; 0 until it is compiled. Stored with release and loaded with acquire order, so that who sees
    /// the address sees what stands there.
    private let compiled = Atomic<UInt>(0)

    /// Why a pattern could not be compiled: PCRE2's number and the place in the pattern.
    struct Malformed: Error {
        let number: Int32
        let offset: Int
    }

    /// Checks that the pattern can be compiled.
    init(_ pattern: [UInt8], ignoringCase: Bool) throws(Malformed) {
        self.pattern = pattern
        options = ignoringCase ? PCRE2_CASELESS : 0
        unsafe pcre2_code_free_8(try Self.compile(pattern, options))
    }

    deinit {
        // SAFETY: the address was given by `pcre2_compile`, or is null, which is passed over.
        unsafe pcre2_code_free_8(OpaquePointer(bitPattern: compiled.load(ordering: .acquiring)))
    }

    private static func compile(
        _ pattern: [UInt8], _ options: UInt32
    ) throws(Malformed) -> OpaquePointer {
        var number: Int32 = 0
        var offset = 0
        // SAFETY: the array outlives the call, which copies what it needs.
        let code = unsafe pattern.withUnsafeBufferPointer { pattern in
            unsafe pcre2_compile_8(
                pattern.baseAddress, pattern.count, options, &number, &offset, nil)
        }
        guard let code = unsafe code else { throw Malformed(number: number, offset: offset) }
        return unsafe code
    }

    /// The compiled pattern; nil when there is no memory for it, and then nothing matches.
    private var code: OpaquePointer? {
        let known = unsafe OpaquePointer(bitPattern: compiled.load(ordering: .acquiring))
        if let known = unsafe known { return unsafe known }
        guard let fresh = unsafe try? Self.compile(pattern, options) else { return nil }
        // Where the machine has no compiler in PCRE2, matching falls back to the interpreter by itself.
        _ = unsafe pcre2_jit_compile_8(fresh, PCRE2_JIT_COMPLETE)
        let (isFirst, earlier) = compiled.compareExchange(
            expected: 0, desired: UInt(bitPattern: fresh), ordering: .acquiringAndReleasing)
        if isFirst { return unsafe fresh }
        // Another thread was faster; both codes are the same.
        unsafe pcre2_code_free_8(fresh)
        return unsafe OpaquePointer(bitPattern: earlier)
    }

    /// Whether the pattern occurs in `subject`; the groups are then in `workspace`. A match that exceeds the
    /// workspace's limits counts as none.
    func matches(_ subject: UnsafeBufferPointer<UInt8>, _ workspace: ExpressionWorkspace) -> Bool {
        guard let code = unsafe code else { return false }
        return unsafe pcre2_match_8(
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
