/// What single consent signals say: the headers `Sec-GPC` and `DNT`, a query parameter, a cookie.
///
/// Bytes of one request in, one ``SignalReading`` a signal out; no allocation, no Foundation. What follows from several
/// readings is policy and is decided above this target. It invents no consent: what is not understood is
/// ``SignalReading/invalid``, never granted. Start at ``ConsentChoice`` and ``PreferenceHeader``.
package enum Consent {}
