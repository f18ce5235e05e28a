/// What single consent signals say: the headers `Sec-GPC` and `DNT`, a site's own choice in a parameter or a cookie, and the
/// strings of TCF, GPP, `us_privacy` and Google's consent mode.
///
/// Bytes of one request in, a reading or an extract out; no allocation, no Foundation. What follows from several
/// signals is policy and is decided above this target. It invents no consent: what is not understood is invalid,
/// never granted. Start at ``ConsentChoice`` and ``ConsentReader``; the layouts stand in ``FieldLayout``.
package enum Consent {}
