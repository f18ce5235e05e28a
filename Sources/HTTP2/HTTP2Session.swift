internal import CNGHTTP2
internal import HTTP

/// The server's side of one HTTP/2 connection (`nghttp2_session`).
///
/// Plaintext of the client goes into ``receive(_:at:)``; requests come out of ``read(into:)`` one after the other as
/// HTTP/1.1, and ``currentStream`` says whose the last bytes were; ``answer(_:stream:at:)`` takes the answer in any order;
/// ``takeOutput(into:)`` gives the frames to write. Malformed requests are reset here and never come out. Used by
/// one thread at a time.
@safe package final class HTTP2Session {
    // SAFETY: made in `init`, freed in `deinit`; its callbacks get `self` unretained and run within calls made here alone.
    private var handle: OpaquePointer?
    private var streams: [Int32: HTTP2Stream] = [:]
    /// Streams whose requests wait to be read, in the order of their completion.
    private var complete: [Int32] = []
    private var completeStart = 0
    private var spares: [HTTP2Stream] = []
    private var now: UInt64
    private var resets: TokenBucket
    private var idleFrames: TokenBucket
    private var lines: [UInt8] = []
    private var newestStream: Int32 = 0
    /// The streams that closed last, the oldest overwritten first.
    private var closed: [ClosedStream] = []
    private var closedNext = 0

    private struct ClosedStream {
        var identifier: Int32
        /// It was reset from here, so frames of it may be on their way still.
        var wasResetHere: Bool
    }

    /// Whose request ``read(into:)`` gives; 0 before the first.
    package private(set) var currentStream: Int32 = 0
    /// Why the connection was ended from here; nil while it was not, or where the client said goodbye.
    package private(set) var failure: HTTP2ErrorCode?
    private var isDraining = false

    /// Sends the server's SETTINGS.
    ///
    /// - Parameter now: monotonic milliseconds.
    package init(at now: UInt64) {
        self.now = now
        progressedAt = now
        resets = TokenBucket(
            capacity: HTTP2Limits.resetsMax, perSecond: HTTP2Limits.resetsPerSecond, at: now)
        idleFrames = TokenBucket(
            capacity: HTTP2Limits.idleFramesMax, perSecond: HTTP2Limits.idleFramesPerSecond,
            at: now)
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        let status = unsafe nghttp2_session_server_new2(
            &handle, SessionSetup.callbacks, context, SessionSetup.options)
        precondition(status == 0, "out of memory")
        let settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: UInt32(HTTP2Limits.streamsMax)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(HTTPLimits.headBytesMax)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
        ]
        unsafe nghttp2_submit_settings(
            handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
    }

    deinit { unsafe nghttp2_session_del(handle) }

    /// Nothing more is read or written: the connection is to be closed.
    package var isOver: Bool {
        unsafe nghttp2_session_want_read(handle) == 0 && nghttp2_session_want_write(handle) == 0
    }

    /// No stream is open.
    package var isIdle: Bool { streams.isEmpty }

    /// A request waits to be read.
    package var hasRequests: Bool { completeStart < complete.count }

    /// Nothing of the present request is left to read.
    package var isRequestUsedUp: Bool {
        guard let stream = streams[currentStream] else { return true }
        return stream.requestStart >= stream.request.count
    }

    /// When an answer came or went last, in monotonic milliseconds.
    package private(set) var progressedAt: UInt64

    /// When the oldest request began that is not complete, in monotonic milliseconds; nil when there is none.
    package var oldestRequest: UInt64? {
        streams.values.filter { $0.phase == .head || $0.phase == .body }.map(\.startedAt).min()
    }

    /// Bytes of answers that the client's windows do not take.
    package private(set) var answerBytes = 0
    private var requestBytes = 0

    /// Takes what the client sent. What it leads to stands in ``read(into:)``, ``takeOutput(into:)`` and ``isOver``.
    package func receive(_ bytes: UnsafeRawBufferPointer, at now: UInt64) {
        self.now = max(now, self.now)
        guard failure == nil else { return }
        let count = unsafe nghttp2_session_mem_recv(
            handle, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
        // Violations of the protocol were answered by the library; what is left is a wrong preface or a flood.
        if count < 0 {
            let isFlood =
                count == Int(NGHTTP2_ERR_FLOODED.rawValue)
                || count == Int(NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue)
                || count == Int(NGHTTP2_ERR_TOO_MANY_SETTINGS.rawValue)
            end(isFlood ? .enhanceYourCalm : .protocolError)
        }
    }

    /// Ends the connection with GOAWAY.
    package func end(_ code: HTTP2ErrorCode) {
        guard failure == nil else { return }
        failure = code
        unsafe nghttp2_session_terminate_session(handle, code.rawValue)
        complete.removeAll()
        completeStart = 0
    }

    /// Takes no more requests and lets those under way end.
    package func drain() {
        guard failure == nil, !isDraining else { return }
        isDraining = true
        unsafe nghttp2_submit_goaway(
            handle, UInt8(NGHTTP2_FLAG_NONE.rawValue),
            nghttp2_session_get_last_proc_stream_id(handle), NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }

    /// Moves the next bytes of the present request, or of the next one when that is used up; 0 when there is none.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        if let stream = streams[currentStream], stream.phase == .taken,
            stream.requestStart < stream.request.count
        {
            return unsafe take(stream, into: buffer)
        }
        while completeStart < complete.count {
            let identifier = complete[completeStart]
            completeStart += 1
            if completeStart == complete.count {
                complete.removeAll(keepingCapacity: true)
                completeStart = 0
            }
            // A stream that was reset meanwhile is no longer there.
            guard let stream = streams[identifier], stream.phase == .complete else { continue }
            requestBytes -= stream.requestBytes
            stream.phase = .taken
            currentStream = identifier
            idleFrames.put()
            return unsafe take(stream, into: buffer)
        }
        return 0
    }

    private func take(_ stream: HTTP2Stream, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, stream.request.count - stream.requestStart)
        unsafe stream.request.withUnsafeBytes { bytes in
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(
                    rebasing: bytes[stream.requestStart..<stream.requestStart + count]))
        }
        stream.requestStart += count
        return count
    }

    /// Leaves the rest of the present request unread.
    package func skipRequest() {
        guard let stream = streams[currentStream] else { return }
        stream.requestStart = stream.request.count
    }

    /// Takes an answer as HTTP/1.1 would write it, whole. An answer to a stream that is gone is dropped.
    package func answer(_ bytes: Span<UInt8>, stream identifier: Int32, at now: UInt64) {
        self.now = max(now, self.now)
        guard failure == nil, let stream = streams[identifier] else { return }
        let head = AnswerHead(bytes, lines: &lines)
        stream.beginAnswer(bytes, from: head.bodyStart)
        if answerBytes == 0 { progressedAt = self.now }
        answerBytes += stream.answerBytes
        unsafe lines.withUnsafeMutableBufferPointer { lines in
            guard let start = lines.baseAddress else { return }
            var fields: [nghttp2_nv] = unsafe []
            for field in head.fields {
                // SAFETY: ranges of `lines`, which the library copies before this returns.
                unsafe fields.append(
                    nghttp2_nv(
                        name: start + field.name.lowerBound, value: start + field.value.lowerBound,
                        namelen: field.name.count, valuelen: field.value.count,
                        flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
            }
            if stream.answerBytes == 0 {
                unsafe nghttp2_submit_response(handle, identifier, fields, fields.count, nil)
            } else {
                var provider = unsafe nghttp2_data_provider()
                unsafe provider.read_callback = SessionSetup.readAnswer
                unsafe nghttp2_submit_response(handle, identifier, fields, fields.count, &provider)
            }
        }
    }

    /// Appends the frames that may leave now.
    package func takeOutput(into output: inout [UInt8]) {
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(handle, &bytes)
            guard count > 0, let bytes = unsafe bytes else { break }
            unsafe output.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        }
    }
}

// What the library's callbacks do.
extension HTTP2Session {
    fileprivate func begin(_ type: UInt8, _ flags: UInt8, _ length: Int, stream: Int32) {
        switch UInt32(type) {
        case NGHTTP2_HEADERS.rawValue where stream > newestStream || streams[stream] != nil: return
        case NGHTTP2_HEADERS.rawValue: beginClosed(stream)
        case NGHTTP2_CONTINUATION.rawValue, NGHTTP2_RST_STREAM.rawValue: return
        // Section 6.3; the library looks at no PRIORITY, since the settings say that there are none.
        case NGHTTP2_PRIORITY.rawValue where stream == 0: end(.protocolError)
        case NGHTTP2_DATA.rawValue where length > 0 || flags & Self.endStream != 0: return
        case NGHTTP2_PING.rawValue where flags & Self.acknowledges != 0,
            NGHTTP2_SETTINGS.rawValue where flags & Self.acknowledges != 0:
            return
        default: if !idleFrames.take(at: now) { end(.enhanceYourCalm) }
        }
    }

    /// A head of a stream that is no more. Where the stream was reset from here it is decoded and left out: it may be the
    /// trailers. Else it breaks section 5.1, or section 5.1.1 where there never was such a stream or it closed so long ago
    /// that nobody remembers. (DATA of such streams is left out by the library, which tells nobody.)
    private func beginClosed(_ identifier: Int32) {
        guard let stream = closed.last(where: { $0.identifier == identifier }) else {
            return end(.protocolError)
        }
        guard stream.wasResetHere else { return end(.streamClosed) }
        if !idleFrames.take(at: now) { end(.enhanceYourCalm) }
    }

    private func remember(_ stream: ClosedStream) {
        if closed.count < HTTP2Limits.closedStreamsMax {
            closed.append(stream)
        } else {
            closed[closedNext] = stream
            closedNext = (closedNext + 1) % HTTP2Limits.closedStreamsMax
        }
    }

    fileprivate static let endStream = UInt8(NGHTTP2_FLAG_END_STREAM.rawValue)
    private static let acknowledges = UInt8(NGHTTP2_FLAG_ACK.rawValue)

    fileprivate func beginRequest(_ identifier: Int32) {
        let stream = spares.popLast() ?? HTTP2Stream()
        stream.begin(identifier, at: now)
        newestStream = identifier
        streams[identifier] = stream
    }

    /// False when the stream is to be reset.
    fileprivate func add(
        _ identifier: Int32, _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let stream = streams[identifier] else { return true }
        let before = stream.requestBytes
        unsafe stream.add(name, value)
        requestBytes += stream.requestBytes - before
        if stream.headerListBytes > HTTP2Limits.headerListFactorMax * HTTPLimits.headBytesMax {
            end(.enhanceYourCalm)
        }
        return true
    }

    fileprivate func endHead(_ identifier: Int32, endsStream: Bool) {
        guard let stream = streams[identifier], stream.phase == .head else { return }
        guard stream.isWellFormed else { return reset(identifier, .protocolError) }
        guard requestBytes <= HTTP2Limits.requestBytesMax else {
            return reset(identifier, .refusedStream)
        }
        stream.phase = .body
        if endsStream { finish(stream) }
    }

    fileprivate func add(_ identifier: Int32, body bytes: UnsafeBufferPointer<UInt8>) {
        guard let stream = streams[identifier], stream.phase == .body else { return }
        let before = stream.requestBytes
        let fits = unsafe stream.add(body: bytes)
        requestBytes += stream.requestBytes - before
        if !fits {
            // It is answered before it has ended (section 8.1).
            finish(stream)
        } else if requestBytes > HTTP2Limits.requestBytesMax {
            reset(identifier, .refusedStream)
        }
    }

    fileprivate func endBody(_ identifier: Int32) {
        guard let stream = streams[identifier], stream.phase == .body else { return }
        finish(stream)
    }

    private func finish(_ stream: HTTP2Stream) {
        let before = stream.requestBytes
        stream.complete()
        requestBytes += stream.requestBytes - before
        complete.append(stream.identifier)
    }

    private func reset(_ identifier: Int32, _ code: HTTP2ErrorCode) {
        unsafe nghttp2_submit_rst_stream(
            handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), identifier, code.rawValue)
        // Nothing of it is read any more, also when the frame is still on its way.
        guard let stream = streams[identifier] else { return }
        requestBytes -= stream.requestBytes
        stream.phase = .taken
    }

    /// The library has answered a violation with GOAWAY.
    fileprivate func sentGoAway(_ code: UInt32) {
        guard failure == nil, code != HTTP2ErrorCode.noError.rawValue else { return }
        failure = HTTP2ErrorCode(rawValue: code) ?? .internalError
    }

    /// Some clients (curl) reset each stream after its answer: that took nothing back, and is a frame that asks for nothing.
    fileprivate func receivedReset(_ identifier: Int32) {
        if streams[identifier] != nil {
            countReset()
        } else if !idleFrames.take(at: now) {
            end(.enhanceYourCalm)
        }
    }

    /// A stream was reset, by the client or from here; both are how a flood of requests would look (CVE-2023-44487).
    fileprivate func countReset() {
        if !resets.take(at: now) { end(.enhanceYourCalm) }
    }

    /// A stream was reset from here.
    fileprivate func sentReset(_ identifier: Int32, _ code: UInt32) {
        if code != HTTP2ErrorCode.noError.rawValue { countReset() }
        if let stream = streams[identifier] {
            stream.wasResetHere = true
        } else {
            remember(ClosedStream(identifier: identifier, wasResetHere: true))
        }
    }

    fileprivate func close(_ identifier: Int32) {
        guard let stream = streams.removeValue(forKey: identifier) else { return }
        remember(ClosedStream(identifier: identifier, wasResetHere: stream.wasResetHere))
        requestBytes -= stream.requestBytes
        answerBytes -= stream.answerBytes
        if spares.count < HTTP2Limits.sparesMax, stream.isSmall { spares.append(stream) }
    }

    /// The last frame of an answer has gone; a request that is still coming is told to stop (section 8.1).
    fileprivate func sentEnd(_ identifier: Int32) {
        guard let stream = streams[identifier] else { return }
        if unsafe nghttp2_session_get_stream_remote_close(handle, identifier) == 0,
            stream.phase == .taken
        {
            unsafe nghttp2_submit_rst_stream(
                handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), identifier, NGHTTP2_NO_ERROR.rawValue)
        }
    }

    fileprivate func readAnswer(
        _ identifier: Int32, into buffer: UnsafeMutableRawBufferPointer, isLast: inout Bool
    ) -> Int {
        guard let stream = streams[identifier] else {
            isLast = true
            return 0
        }
        let count = unsafe stream.takeAnswer(into: buffer)
        answerBytes -= count
        if count > 0 { progressedAt = now }
        isLast = stream.answerBytes == 0
        return count
    }
}

/// What all sessions share; made once.
private enum SessionSetup {
    // SAFETY: both are set up once and only read afterwards; the library copies them into each session.
    nonisolated(unsafe) static let options: OpaquePointer? = {
        var options: OpaquePointer?
        unsafe nghttp2_option_new(&options)
        unsafe nghttp2_option_set_no_closed_streams(options, 1)
        unsafe nghttp2_option_set_max_outbound_ack(options, HTTP2Limits.acknowledgementsMax)
        unsafe nghttp2_option_set_max_continuations(options, HTTP2Limits.continuationsMax)
        // The session's own buckets count resets. The library's would count those of answered streams too, so it is
        // set to what nobody reaches.
        unsafe nghttp2_option_set_stream_reset_rate_limit(options, 1 << 32, 1 << 32)
        return unsafe options
    }()

    nonisolated(unsafe) static let callbacks: OpaquePointer? = {
        var callbacks: OpaquePointer?
        unsafe nghttp2_session_callbacks_new(&callbacks)
        unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) {
            _, header, context in
            let header = unsafe header!.pointee
            unsafe SessionSetup.session(context).begin(
                header.type, header.flags, header.length, stream: header.stream_id)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
            _, frame, context in
            if unsafe frame!.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
                unsafe SessionSetup.session(context).beginRequest(frame!.pointee.hd.stream_id)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, context in
            // Trailers are read and left out.
            guard unsafe frame!.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else { return 0 }
            let isKept = unsafe SessionSetup.session(context).add(
                frame!.pointee.hd.stream_id, UnsafeBufferPointer(start: name, count: nameCount),
                UnsafeBufferPointer(start: value, count: valueCount))
            return isKept ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) {
            _, _, _, _, _, _, _, _ in
            // The library would leave such a field out; here the request is malformed (section 8.1.1).
            NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, identifier, bytes, count, context in
            unsafe SessionSetup.session(context).add(
                identifier, body: UnsafeBufferPointer(start: bytes, count: count))
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
            _, frame, context in
            let header = unsafe frame!.pointee.hd
            let endsStream = header.flags & HTTP2Session.endStream != 0
            switch UInt32(header.type) {
            case NGHTTP2_HEADERS.rawValue:
                if unsafe frame!.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
                    unsafe SessionSetup.session(context).endHead(
                        header.stream_id, endsStream: endsStream)
                } else if endsStream {
                    unsafe SessionSetup.session(context).endBody(header.stream_id)
                }
            case NGHTTP2_DATA.rawValue where endsStream:
                unsafe SessionSetup.session(context).endBody(header.stream_id)
            case NGHTTP2_RST_STREAM.rawValue:
                unsafe SessionSetup.session(context).receivedReset(header.stream_id)
            default: break
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) {
            _, frame, context in
            let header = unsafe frame!.pointee.hd
            switch UInt32(header.type) {
            case NGHTTP2_RST_STREAM.rawValue:
                unsafe SessionSetup.session(context).sentReset(
                    header.stream_id, frame!.pointee.rst_stream.error_code)
            case NGHTTP2_GOAWAY.rawValue:
                unsafe SessionSetup.session(context).sentGoAway(frame!.pointee.goaway.error_code)
            case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
                if header.flags & HTTP2Session.endStream != 0 {
                    unsafe SessionSetup.session(context).sentEnd(header.stream_id)
                }
            default: break
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
            _, identifier, _, context in
            unsafe SessionSetup.session(context).close(identifier)
            return 0
        }
        return unsafe callbacks
    }()

    static let readAnswer: nghttp2_data_source_read_callback = {
        _, identifier, buffer, count, flags, _, context in
        var isLast = false
        let moved = unsafe SessionSetup.session(context).readAnswer(
            identifier, into: UnsafeMutableRawBufferPointer(start: buffer, count: count),
            isLast: &isLast)
        if isLast { unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        return moved
    }

    static func session(_ context: UnsafeMutableRawPointer?) -> HTTP2Session {
        // SAFETY: the session passed itself and outlives its handle.
        unsafe Unmanaged<HTTP2Session>.fromOpaque(context!).takeUnretainedValue()
    }
}
