internal import CordonPolicy
internal import HTTP

extension RequestParts {
    /// The parts of a request that the parser read.
    init(_ head: RequestHead) {
        self.init()
        path = Part(head.path)
        query = Part(head.query)
        host = Part(head.host)
        referer = Part(head.referer)
        userAgent = Part(head.userAgent)
        acceptLanguage = Part(head.acceptLanguage)
        cookie = Part(head.cookie)
        secGPC = Part(head.globalPrivacyControl)
        dnt = Part(head.doNotTrack)
        repeatsConsentHeader = head.repeatsConsentHeader
    }
}

extension RequestParts.Part {
    fileprivate init(_ range: ByteRange) {
        self.init(start: range.start, end: range.end)
    }
}
