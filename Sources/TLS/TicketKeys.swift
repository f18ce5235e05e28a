internal import CSSL
internal import Crypto
internal import Synchronization

/// The keys that session tickets are encrypted with (RFC 5077 section 4), made here and kept nowhere but in memory.
///
/// All listeners and loops of a process share them, so a client resumes wherever it lands. The key of the last period still
/// opens its tickets; older ones are gone, and with them what a thief of the process's memory could open.
package final class TicketKeys: Sendable {
    private let state: Mutex<State>

    private struct State {
        var current = Key()
        var previous: Key?
        /// In monotonic milliseconds.
        var rotatesAt: UInt64
    }

    /// Name, AES-256 key and HMAC-SHA256 key.
    fileprivate struct Key {
        var name = [UInt8](repeating: 0, count: 16)
        var encryption = [UInt8](repeating: 0, count: 32)
        var authentication = [UInt8](repeating: 0, count: 32)

        init() {
            SecureRandom.fill(&name)
            SecureRandom.fill(&encryption)
            SecureRandom.fill(&authentication)
        }

        mutating func wipe() {
            Secret.wipe(&encryption)
            Secret.wipe(&authentication)
        }
    }

    /// - Parameter now: monotonic milliseconds.
    package init(at now: UInt64) {
        state = Mutex(State(rotatesAt: now + TLSLimits.ticketKeySeconds * 1000))
    }

    /// Makes a new key when the present one has served its time.
    package func rotateIfDue(at now: UInt64) {
        state.withLock { state in
            guard now >= state.rotatesAt else { return }
            // After a long sleep the present key is as stale as the last one.
            let isLongPast = now >= state.rotatesAt + TLSLimits.ticketKeySeconds * 1000
            state.previous?.wipe()
            if isLongPast {
                state.current.wipe()
                state.previous = nil
            } else {
                state.previous = state.current
            }
            state.current = Key()
            state.rotatesAt = now + TLSLimits.ticketKeySeconds * 1000
        }
    }

    /// Prepares the encryption of a ticket; the answer of OpenSSL's callback.
    fileprivate func seal(_ call: TicketCall) -> Int32 {
        state.withLock { state in unsafe call.start(state.current, isNew: true) ? 1 : -1 }
    }

    /// Prepares the opening of a ticket: 1, 2 when the client should get a newer one, 0 when nobody has its key.
    fileprivate func open(_ call: TicketCall) -> Int32 {
        state.withLock { state in
            if unsafe call.isNamed(state.current) {
                return unsafe call.start(state.current, isNew: false) ? 1 : -1
            }
            if let previous = state.previous, unsafe call.isNamed(previous) {
                return unsafe call.start(previous, isNew: false) ? 2 : -1
            }
            return 0
        }
    }
}

/// The arguments of one call of `SSL_CTX_set_tlsext_ticket_key_evp_cb`'s function.
@unsafe private struct TicketCall {
    let name: UnsafeMutablePointer<UInt8>
    let vector: UnsafeMutablePointer<UInt8>
    let cipher: OpaquePointer?
    let code: OpaquePointer?

    func isNamed(_ key: TicketKeys.Key) -> Bool {
        for index in key.name.indices where unsafe name[index] != key.name[index] { return false }
        return true
    }

    func start(_ key: TicketKeys.Key, isNew: Bool) -> Bool {
        if isNew {
            for index in key.name.indices { unsafe name[index] = key.name[index] }
            unsafe SecureRandom.fill(UnsafeMutableRawBufferPointer(start: vector, count: 16))
        }
        let direction: Int32 = isNew ? 1 : 0
        guard
            unsafe EVP_CipherInit_ex(
                cipher, EVP_aes_256_cbc(), nil, key.encryption, vector, direction) == 1
        else { return false }
        guard let code = unsafe code else { return false }
        return unsafe key.authentication.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return false }
            return unsafe cssl_set_mac_key(code, start, bytes.count) == 1
        }
    }
}

/// The function that OpenSSL calls for each ticket that it makes or is shown.
let ticketCallback:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?,
        OpaquePointer?, Int32
    ) -> Int32 = { handle, name, vector, cipher, code, isNew in
        // SAFETY: each context holds its keys alive and each connection its context.
        guard let name = unsafe name, let vector = unsafe vector,
            let pointer = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(handle), 0)
        else { return -1 }
        let keys = unsafe Unmanaged<TicketKeys>.fromOpaque(pointer).takeUnretainedValue()
        let call = unsafe TicketCall(name: name, vector: vector, cipher: cipher, code: code)
        return unsafe isNew == 1 ? keys.seal(call) : keys.open(call)
    }
