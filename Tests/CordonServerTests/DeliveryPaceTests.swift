import CordonModel
import TestSupport
import Testing

@testable import CordonServer

@Suite struct `The pause between deliveries` {
    /// A region's time in milliseconds, moved on by what happens in it.
    private struct Simulation {
        var now: Int64 = 0
        /// When each hit that waits was answered.
        var waiting: [Int64] = []
        var longestWait: Int64 = 0
    }

    /// Hits arrive at any time; each delivery takes as long as `took` says. Returns the longest time from answer to readable.
    private func longestWait(
        _ pace: DeliveryPace, deliveries: Int, took: (inout Generator) -> Int64,
        _ generator: inout Generator
    ) -> Int64 {
        var pace = pace
        var simulation = Simulation()
        for _ in 0..<deliveries {
            let pause = pace.pauseMilliseconds
            for _ in 0..<5 {
                simulation.waiting.append(
                    simulation.now + .random(in: 0...max(pause, 0), using: &generator))
            }
            // The worst: one that is answered just when the delivery before began.
            simulation.waiting.append(simulation.now)
            simulation.now += pause
            let taken = simulation.waiting
            simulation.waiting = []
            let duration = took(&generator)
            // What arrives meanwhile is left for the next.
            simulation.waiting.append(simulation.now + 1)
            simulation.now += duration
            pace.noteDelivery(milliseconds: duration)
            simulation.longestWait = max(
                simulation.longestWait, taken.map { simulation.now - $0 }.max() ?? 0)
        }
        return simulation.longestWait
    }

    @Test(arguments: [2, 10, 60, 600])
    func `whatever deliveries take, a hit can be read within the bound`(_ bound: Int) {
        var generator = Generator()
        for _ in 0..<20 {
            let milliseconds = Int64(bound) * 1000
            // A delivery that takes up to a third of the bound, growing and shrinking by up to half at a time.
            var duration = milliseconds / 100
            let longest = longestWait(
                DeliveryPace(boundSeconds: bound), deliveries: 200,
                took: { random in
                    let next = Double(duration) * .random(in: 0.6...1.5, using: &random)
                    duration = max(1, min(milliseconds / 3, Int64(next)))
                    return duration
                }, &generator)
            #expect(longest <= milliseconds, "seed \(generator.seed)")
        }
    }

    @Test func `an idle region delivers every sixth of its bound`() {
        #expect(DeliveryPace(boundSeconds: 60).pauseMilliseconds == 10_000)
        var settings = LakeMaintenance()
        #expect(settings.freshnessSeconds == 60 && settings.deliverySeconds == 10)
        settings.freshnessSeconds = 30
        #expect(settings.deliverySeconds == 5)
        #expect(DeliveryPace(boundSeconds: 30).pauseMilliseconds == 5000)
    }

    @Test func `a slow delivery shortens the pause, and one that is too slow is told`() {
        var pace = DeliveryPace(boundSeconds: 60)
        pace.noteDelivery(milliseconds: 22_000)
        #expect(pace.pauseMilliseconds == 5000 && !pace.isTooSlow)
        pace.noteDelivery(milliseconds: 31_000)
        #expect(pace.pauseMilliseconds == DeliveryPace.pauseMillisecondsMin && pace.isTooSlow)
        pace.noteDelivery(milliseconds: 10)
        #expect(pace.pauseMilliseconds == 10_000 && !pace.isTooSlow)
    }
}
