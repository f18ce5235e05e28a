internal import CordonModel
internal import GeoTables
internal import HTTP

/// A line that was read and waits for its decision.
struct WaitingLine: ~Copyable {
    let number: Int
    let time: Timestamp
    /// The log does not show what the browser said of consent, and that counts as a refusal.
    let isConsentUnknown: Bool
    /// With the keys of its day.
    let context: EdgeContext
    let head: RequestHead
    let client: ClientAddress

    /// The client, when nothing else is needed any more.
    consuming func takeClient() -> ClientAddress { client }
}

/// A few lines that wait, in order, in fixed memory.
@safe final class WaitingLines {
    /// As many as hide the waits for memory of a lookup behind each other; few enough that their bytes stay near.
    static let countMax = 8

    // SAFETY: allocated in `init`, freed in `deinit`; the elements `taken..<count` are initialized.
    private let lines: UnsafeMutablePointer<WaitingLine>
    private var count = 0
    /// How many of them have been taken out.
    private var taken = 0
    /// Sum of what the lookups gave, so that they are not optimised away.
    private var places = 0

    init() { unsafe lines = .allocate(capacity: Self.countMax) }

    deinit {
        unsafe (lines + taken).deinitialize(count: count - taken)
        unsafe lines.deallocate()
    }

    var hasRoom: Bool { count < Self.countMax }

    func append(_ line: consuming WaitingLine) {
        precondition(hasRoom, "the caller looks for room")
        unsafe (lines + count).initialize(to: line)
        count += 1
    }

    /// Takes the next one out; nil when none is left, and there is room again.
    func next() -> WaitingLine? {
        guard taken < count else {
            taken = 0
            count = 0
            return nil
        }
        taken += 1
        return unsafe (lines + taken - 1).move()
    }

    /// Looks up the places of all of them, so that each decision finds near what its own lookup reads: each step is asked for
    /// all, since it needs what the step before it has brought, and the rest of longer searches is waited for together.
    func bringPlacesNear(_ context: EdgeContext) {
        let table = context.geoTable
        for step in [LookupStep.index, .deeperIndex, .ranges] {
            for index in taken..<count {
                unsafe lines[index].client.address.inspect(
                    with: FetchPlace(table: table, step: step))
            }
        }
        for index in taken..<count {
            places &+= unsafe lines[index].client.address.inspect(with: Locate(table: table))
        }
    }
}
