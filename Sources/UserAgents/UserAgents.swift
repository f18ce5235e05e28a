// Browser, operating system and device family of a user agent, by the rules of uap-core.
//
// The rules are data that set-up fetched: some 1,270 regular expressions in three ordered lists, of which the
// first that matches speaks. ``UserAgentRules`` holds them compiled and is shared by all threads;
// ``UserAgentClassifier`` holds what one thread needs to run them. Versions are never asked for, and a family
// that is cut out of the user agent itself is kept only when it looks like a name, so that nothing personal
// passes through. The only importer of `CPCRE2`.

/// What is kept of a user agent.
package struct UserAgentFamily: Hashable, Sendable {
    /// Such as `Firefox`; `Other` when no rule matches.
    package let browser: String
    /// Such as `Windows`; `Other` when no rule matches.
    package let os: String
    /// Such as `iPhone`; `Other` when no rule matches.
    package let device: String
    /// Whether the rules call the device a spider.
    package let isBot: Bool

    package init(browser: String, os: String, device: String, isBot: Bool) {
        self.browser = browser
        self.os = os
        self.device = device
        self.isBot = isBot
    }

    /// The family of a user agent that is missing or that no rule knows.
    package static let other = UserAgentFamily(
        browser: "Other", os: "Other", device: "Other", isBot: false)
}
