package import CordonModel

/// A clock that stands.
package struct FixedClock: WallClock {
    private let time: Timestamp

    package init(time: Timestamp) { self.time = time }
    /// The clock stands at the beginning of `day`.
    package init(day: Day) { self.init(time: day.start) }

    package func now() -> Timestamp { time }
}
