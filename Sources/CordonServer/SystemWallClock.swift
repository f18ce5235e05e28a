package import CordonModel
import LinuxIO

/// The machine's own clock.
package struct SystemWallClock: WallClock {
    package init() {}
    package func now() -> Timestamp {
        Timestamp(microseconds: SystemClock.realtimeMicroseconds())
    }
}
