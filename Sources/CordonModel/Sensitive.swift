/// A raw personal value (an address, an identifier, a user agent, a URL) on its way to a transform.
///
/// It cannot be copied, so it cannot be passed to `print`, interpolated, put in a collection, encoded, captured by
/// an escaping closure or sent to another thread: each of these needs `Copyable` or `Sendable`. The only way
/// to the value is ``open(with:)``, which consumes the wrapper and hands the value to a named
/// ``SensitiveTransform``; searching for conformances of that protocol lists every place that ever sees one.
/// Public, so that each such call becomes the transform itself: `package` functions are not inlined in other targets.
@frozen
public struct Sensitive<Value: ~Copyable>: ~Copyable {
    // Seen by inlined calls of the methods below, and by no code outside of this module.
    @usableFromInline
    let value: Value

    /// Takes the raw value at the boundary where it is first parsed.
    @inlinable
    public init(_ value: consuming Value) { self.value = value }

    /// Gives the value to `transform` and forgets it.
    @inlinable
    public consuming func open<Transform: SensitiveTransform>(
        with transform: Transform
    ) -> Transform.Output where Transform.Input == Value, Value: Copyable {
        transform.apply(value)
    }

    /// Lets `transform` look at the value while it lives on.
    @inlinable
    public borrowing func inspect<Transform: SensitiveTransform>(
        with transform: Transform
    ) -> Transform.Output where Transform.Input == Value, Value: Copyable {
        transform.apply(value)
    }
}

@available(*, unavailable, message: "a raw personal value stays on the thread that parsed it")
extension Sensitive: Sendable {}

/// A function from a raw personal value to something that may be kept.
public protocol SensitiveTransform {
    associatedtype Input
    associatedtype Output
    func apply(_ value: Input) -> Output
}
