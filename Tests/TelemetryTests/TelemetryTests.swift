import Telemetry
import TestSupport
import Testing

@Suite struct `Log lines and metrics` {
    @Test func `an entry is one line of JSON with its fields in order`() {
        let captured = CapturedLog()
        let logger = Logger(format: .json, sink: captured, now: { 1_700_000_000_000_001 })
        logger.info(
            "listening",
            ["edge.port": 8401, "edge.region": "eu\n\"x\"\u{2028}", "edge.ready": true])
        #expect(
            captured.lines == [
                #"{"time":"2023-11-14T22:13:20.000001Z","level":"info","message":"listening","#
                    + #""edge.port":8401,"edge.region":"eu\n\"x\"\u2028","edge.ready":true}"#
            ])
    }

    @Test func `logfmt quotes only what needs it, and no value breaks the line`() {
        let captured = CapturedLog()
        let logger = Logger(level: .debug, sink: captured, now: { 0 })
        logger.warning("a b", ["x": "plain", "y": "two words", "z": "a=b\r\n", "w": ""])
        logger.log(.trace, "below the level")
        #expect(
            captured.lines == [
                "time=1970-01-01T00:00:00.000000Z level=warning message=\"a b\" x=plain "
                    + "y=\"two words\" z=\"a=b\\r\\n\" w=\"\""
            ])
    }

    @Test func `metrics are written in the exposition format`() {
        var page = MetricsText()
        page.family("cordon_hits_total", .counter, help: "Hits.")
        page.sample("cordon_hits_total", ["region": "a\"b", "outcome": "kept"], 3)
        page.sample("cordon_up", 1)
        #expect(
            page.text == """
                # HELP cordon_hits_total Hits.
                # TYPE cordon_hits_total counter
                cordon_hits_total{region="a\\"b",outcome="kept"} 3
                cordon_up 1

                """)
    }
}
