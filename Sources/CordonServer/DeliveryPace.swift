/// How long to pause between deliveries so that a hit can be read within a bound after its answer.
///
/// A hit that is answered just after a delivery began waits for that delivery, the pause, and the next delivery. So the pause is a
/// sixth of the bound, and less when deliveries are long. Pure: it takes durations and gives a pause.
struct DeliveryPace: Equatable, Sendable {
    /// Most that may pass between answer and readable.
    let boundMilliseconds: Int64
    /// What the last delivery took.
    private(set) var tookMilliseconds: Int64 = 0

    /// A delivery that is too slow leaves other work of the machine so much room.
    static let pauseMillisecondsMin: Int64 = 100
    /// The next delivery is taken to last at most half as long again as the last one.
    private static let growth = 1.5

    init(boundSeconds: Int) { boundMilliseconds = Int64(boundSeconds) * 1000 }

    mutating func noteDelivery(milliseconds: Int64) { tookMilliseconds = milliseconds }

    /// From the end of a delivery to the beginning of the next.
    var pauseMilliseconds: Int64 {
        max(Self.pauseMillisecondsMin, min(boundMilliseconds / 6, room))
    }

    /// Whether the bound cannot be kept by pausing less: deliveries themselves take too long.
    var isTooSlow: Bool { room < Self.pauseMillisecondsMin }

    private var room: Int64 {
        boundMilliseconds - tookMilliseconds
            - Int64(Double(tookMilliseconds) * Self.growth)
    }
}
