// HTTP/1.1 request parsing by RFC 9112 as a pure state machine over bytes, and prebuilt responses.
