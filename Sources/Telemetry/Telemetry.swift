/// Logs and metrics as text: a constant message with dotted fields, one line an entry, and the
/// Prometheus exposition format.
///
/// The logger is passed in, never global. It writes what it is given: personal values are kept out by the types they
/// live in, which have no text. Start at ``Logger`` and ``MetricsText``.
package enum Telemetry {}
