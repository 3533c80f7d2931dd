use proptest::prelude::*;

use super::*;

fn throttled(seconds: Option<u64>) -> Ending {
    Ending::Throttled {
        retry_after: seconds.map(Duration::from_secs),
    }
}

fn banned(scope: Scope, reason: &str) -> Ending {
    Ending::Banned {
        scope,
        reason: reason.to_owned(),
    }
}

fn check(cases: &[(&str, Ending)]) {
    for (text, expected) in cases {
        assert_eq!(&Ending::of_error(text), expected, "{text}");
    }
}

#[test]
fn throttling_is_told_from_bans() {
    check(&[
        // hybrid, and InspIRCd 2's connthrottle.
        ("Trying to reconnect too fast.", throttled(None)),
        // Solanum, Charybdis.
        ("Reconnecting too fast, throttled.", throttled(None)),
        // IRCnet, Undernet, Bahamut.
        (
            "Your host is trying to (re)connect too fast -- throttled",
            throttled(None),
        ),
        // UnrealIRCd.
        (
            "Closing Link: [203.0.113.9] (Throttled: Reconnecting too fast) - Email abuse@example.net for more information.",
            throttled(None),
        ),
        // InspIRCd's connectban, which is a Z-line.
        (
            "Closing link: (ann@203.0.113.9) [Z-lined: Your IP range has been attempting to connect too many times in too \
             short a duration. Wait a while, and you will be able to connect.]",
            throttled(None),
        ),
        // Ergo.
        (
            "You have attempted to connect too many times within a short duration. Wait a while, and you will be able to \
             connect.",
            throttled(None),
        ),
        ("Throttled, please wait 30 seconds.", throttled(Some(30))),
        (
            "Connecting too fast: try again in 2 minutes",
            throttled(Some(120)),
        ),
        ("throttled for 99999999999999999999 hours", throttled(None)),
        ("throttled for 9999 hours", throttled(Some(24 * 3600))),
    ]);
}

#[test]
fn limits_are_told_from_bans() {
    check(&[
        (
            "Closing link: (unknown@203.0.113.9) [No more connections allowed from your host via this connect class (local)]",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: 203.0.113.9 (Too many user connections (global))",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: ann[ann@203.0.113.9] (Too many host connections (local))",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: [203.0.113.9] (Too many unknown connections from your IP)",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: 0.0.0.0 (Too many connections from your host)",
            Ending::ConnectionLimit,
        ),
        (
            "Connection refused, too many connections from your IP address",
            Ending::ConnectionLimit,
        ),
        (
            "Too many clients from your network",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: ann by server.example.net (Sorry, your connection class is full - try again later or try another \
             server)",
            Ending::ConnectionLimit,
        ),
        (
            "Closing Link: h (No more connections allowed in your connection class)",
            Ending::ConnectionLimit,
        ),
        ("Connection limit reached", Ending::Overload),
        ("All connections in use", Ending::Overload),
        (
            "Closing Link: [203.0.113.9] (This server is full)",
            Ending::Overload,
        ),
    ]);
}

#[test]
fn bans_say_whom_they_mean() {
    use Scope::{Address, Person};
    check(&[
        (
            "Closing Link: h.example (K-Lined)",
            banned(Person, "K-Lined"),
        ),
        (
            "Closing Link: ann[ann@h] (Kill line active: spam)",
            banned(Person, "Kill line active: spam"),
        ),
        (
            "Closing Link: ann by portlane.se.quakenet.org (G-lined)",
            banned(Person, "G-lined"),
        ),
        (
            "Closing link: (~ann@h) [G-lined: spam]",
            banned(Person, "G-lined: spam"),
        ),
        (
            "Closing Link: gateway/web/x (Bad user info)",
            banned(Person, "Bad user info"),
        ),
        (
            "Closing Link: ann[203.0.113.9] (User has been permanently banned from ExampleNet (spam))",
            banned(
                Person,
                "User has been permanently banned from ExampleNet (spam)",
            ),
        ),
        (
            "Closing Link: [203.0.113.9] (You are not welcome on this network. G-Line: spam. Email a@example.net for more \
             information.)",
            banned(
                Person,
                "You are not welcome on this network. G-Line: spam. Email a@example.net for more information.",
            ),
        ),
        (
            "You are banned from this server (spam)",
            banned(Person, "You are banned from this server (spam)"),
        ),
        (
            "You have been D-lined.",
            banned(Address, "You have been D-lined."),
        ),
        (
            "Closing Link: 203.0.113.9 (*** Banned: GZ-Lined)",
            banned(Address, "*** Banned: GZ-Lined"),
        ),
        (
            "Closing Link: [203.0.113.9] (Z:Lined (proxy))",
            banned(Address, "Z:Lined (proxy)"),
        ),
        (
            "Closing link: (u@h) [Your IP is listed in dnsbl.example.net]",
            banned(Address, "Your IP is listed in dnsbl.example.net"),
        ),
    ]);
}

#[test]
fn kills_are_read() {
    let killed = |reason: &str| Ending::Killed {
        reason: reason.to_owned(),
    };
    check(&[
        // ngIRCd.
        ("KILLed by oper: banned", killed("KILLed by oper: banned")),
        (
            "Closing link: (~ann@203.0.113.9) [Killed (Oper (you will be banned from here next time))]",
            killed("Killed (Oper (you will be banned from here next time))"),
        ),
        (
            "Closing Link: h (Killed (irc.example.net (No reason: throttled)))",
            killed("Killed (irc.example.net (No reason: throttled))"),
        ),
        (
            "Closing Link: h (Killed (NickServ (GHOST command used by ann_)))",
            Ending::NickTaken,
        ),
        (
            "Closing Link: h (Killed (irc.example.net (Nick collision (new))))",
            Ending::NickTaken,
        ),
        (
            "Closing Link: ann[h] (Overridden by other sign on)",
            Ending::NickTaken,
        ),
    ]);
    assert_eq!(
        Ending::of_kill("services.example.net (NickServ (REGAIN command used by ann!a@h))"),
        Ending::NickTaken
    );
    assert_eq!(
        Ending::of_kill("oper.example (spam)"),
        killed("oper.example (spam)")
    );
}

#[test]
fn the_rest_is_read_too() {
    check(&[
        (
            "Closing Link: h (Ping timeout: 264 seconds)",
            Ending::PingTimeout,
        ),
        (
            "Closing link: (~ann@h) [Ping timeout: 120 seconds]",
            Ending::PingTimeout,
        ),
        ("Ping timeout: 150 seconds", Ending::PingTimeout),
        ("Closing Link: h (Excess Flood)", Ending::Flood),
        ("Closing link: (~ann@h) [RecvQ exceeded]", Ending::Flood),
        ("Request too long", Ending::Flood),
        (
            "Closing Link: h (Max SendQ exceeded)",
            Ending::ReadTooSlowly,
        ),
        (
            "Closing link: (~ann@h) [SendQ exceeded]",
            Ending::ReadTooSlowly,
        ),
        ("Server going down (restarting)", Ending::ShutDown),
        ("Closing link: (~ann@h) [Server shutdown]", Ending::ShutDown),
        ("Server is shutting down", Ending::ShutDown),
        (
            "Closing Link: h (Server Terminating. Received SIGTERM)",
            Ending::ShutDown,
        ),
        (
            "Closing Link: 66.87.2.227 (SASL access only)",
            Ending::SaslRequired,
        ),
        (
            "You need to identify via SASL to use this server",
            Ending::SaslRequired,
        ),
        ("Access denied: Bad password?", Ending::PasswordRequired),
        ("Bad password", Ending::PasswordRequired),
        (
            "Closing link: (~ann@h) [Invalid password]",
            Ending::PasswordRequired,
        ),
        (
            "Closing link: (unknown@h) [Registration timeout]",
            Ending::RegistrationFailed,
        ),
        (
            "Unable to complete your registration",
            Ending::RegistrationFailed,
        ),
        (
            "Closing link: (u@h) [Unauthorised connection]",
            Ending::NotAuthorized,
        ),
        (
            "Closing Link: h (No Authorization - use another server)",
            Ending::NotAuthorized,
        ),
        (
            "Closing Link: [h] (Insecure connection: use SSL/TLS)",
            Ending::TlsRequired,
        ),
        ("Closing Link: h (Connection reset by peer)", Ending::Lost),
        (
            "Closing Link: h (Large base64 image paste.)",
            Ending::Other("Large base64 image paste.".to_owned()),
        ),
        ("closing link", Ending::Other("closing link".to_owned())),
        ("", Ending::Other(String::new())),
        (
            "You'd line up for that deadline",
            Ending::Other("You'd line up for that deadline".to_owned()),
        ),
    ]);
}

#[test]
fn nothing_is_read_out_of_what_people_type() {
    check(&[
        (
            "Closing Link: h (Quit: banned, throttled and K-lined)",
            Ending::Quit,
        ),
        (
            "Closing link: (~ann@h) [Quit: Server shutdown]",
            Ending::Quit,
        ),
        ("Closing Link: ann[h] (\"Excess Flood\")", Ending::Quit),
        ("Closing Link: h (Client Quit)", Ending::Quit),
        ("\"banned and throttled\"", Ending::Quit),
        ("Quit: bye", Ending::Quit),
    ]);
}

#[test]
fn refusals_by_numeric_are_read() {
    let said = "You are banned from this server- spam";
    for (numeric, text, expected) in [
        (465, said, Some(banned(Scope::Person, said))),
        (465, "klined", Some(banned(Scope::Person, "klined"))),
        (
            465,
            "You need to identify via SASL to use this server",
            Some(Ending::SaslRequired),
        ),
        (465, "Go away", Some(banned(Scope::Person, "Go away"))),
        (466, "", Some(banned(Scope::Person, ""))),
        (
            463,
            "Your host isn't among the privileged",
            Some(Ending::NotAuthorized),
        ),
        (464, "Password Incorrect", Some(Ending::PasswordRequired)),
        (433, "Nickname is already in use", None),
    ] {
        assert_eq!(
            Ending::of_numeric(numeric, text),
            expected,
            "{numeric} {text}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_an_ending(text in "(Closing [Ll]ink: )?.{0,60}", quit in ".{0,40}") {
        let _ = Ending::of_error(&text);
        let quit = format!("Closing Link: host.example (Quit: {quit})");
        prop_assert_eq!(Ending::of_error(&quit), Ending::Quit);
    }

    #[test]
    fn waits_are_bounded(text in "[0-9]{1,20} (seconds|minutes|hours)") {
        prop_assert!(wait(&text).is_none_or(|wait| wait <= MAX_WAIT));
    }
}
