//! The options that Traefik reads from labels, and what their values are.
//!
//! Sources: <https://doc.traefik.io/traefik/reference/routing-configuration/other-providers/docker/> and
//! `pkg/config/dynamic` of Traefik 3.7. Traefik reads them without regard to case, and drops all labels
//! of a service with one that it does not know.

use matou_config::find_nearest_name;
use matou_i18n::tr;

/// Longest name that is compared with others.
const MAX_COMPARED: usize = 100;

/// Finds the name that is nearest to a misspelt one, which may be of any length.
pub(super) fn find_near<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    (wrong.len() <= MAX_COMPARED)
        .then(|| find_nearest_name(wrong, names))
        .flatten()
}

/// What the value of an option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionKind {
    /// Any text, or a list with commas.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A number of seconds, or `500ms`.
    Duration,
    /// Nothing but `true`: its own options follow after a dot.
    Section,
    /// A port.
    Port,
}

/// The options of one kind of object, by kind of value. `*` is a name of one's own.
type OptionTable = &'static [(OptionKind, &'static str)];

const HTTP_ROUTER: OptionTable = &[
    (
        OptionKind::Text,
        "entrypoints middlewares service rule rulesyntax tls.options tls.certresolver tls.domains[*].main tls.domains[*].sans observability.traceverbosity",
    ),
    (OptionKind::Number, "priority"),
    (
        OptionKind::Switch,
        "observability.accesslogs observability.metrics observability.tracing",
    ),
    (OptionKind::Section, "tls"),
];

const HTTP_SERVICE: OptionTable = &[
    (
        OptionKind::Text,
        "loadbalancer.healthcheck.headers.* loadbalancer.healthcheck.hostname loadbalancer.healthcheck.method loadbalancer.healthcheck.mode loadbalancer.healthcheck.path loadbalancer.healthcheck.scheme loadbalancer.serverstransport loadbalancer.sticky.cookie.domain loadbalancer.sticky.cookie.name loadbalancer.sticky.cookie.path loadbalancer.sticky.cookie.samesite loadbalancer.strategy loadbalancer.server.scheme loadbalancer.server.url",
    ),
    (
        OptionKind::Number,
        "loadbalancer.healthcheck.port loadbalancer.healthcheck.status loadbalancer.passivehealthcheck.maxfailedattempts loadbalancer.sticky.cookie.maxage loadbalancer.server.weight",
    ),
    (
        OptionKind::Switch,
        "loadbalancer.healthcheck.followredirects loadbalancer.passhostheader loadbalancer.sticky.cookie.httponly loadbalancer.sticky.cookie.secure loadbalancer.server.preservepath",
    ),
    (
        OptionKind::Duration,
        "loadbalancer.healthcheck.interval loadbalancer.healthcheck.timeout loadbalancer.healthcheck.unhealthyinterval loadbalancer.passivehealthcheck.failurewindow loadbalancer.responseforwarding.flushinterval",
    ),
    (
        OptionKind::Section,
        "loadbalancer.sticky loadbalancer.sticky.cookie",
    ),
    (OptionKind::Port, "loadbalancer.server.port"),
];

const HTTP_MIDDLEWARE: OptionTable = &[
    (
        OptionKind::Text,
        "addprefix.prefix basicauth.headerfield basicauth.realm basicauth.users basicauth.usersfile buffering.retryexpression chain.middlewares circuitbreaker.expression compress.defaultencoding compress.encodings compress.excludedcontenttypes compress.includedcontenttypes digestauth.headerfield digestauth.realm digestauth.users digestauth.usersfile errors.errorrequestheaders errors.query errors.service errors.status forwardauth.addauthcookiestoresponse forwardauth.address forwardauth.authrequestheaders forwardauth.authresponseheaders forwardauth.authresponseheadersregex forwardauth.authsigninurl forwardauth.headerfield forwardauth.tls.ca forwardauth.tls.cert forwardauth.tls.key grpcweb.alloworigins headers.accesscontrolallowheaders headers.accesscontrolallowmethods headers.accesscontrolalloworiginlist headers.accesscontrolalloworiginlistregex headers.accesscontrolexposeheaders headers.allowedhosts headers.contentsecuritypolicy headers.contentsecuritypolicyreportonly headers.custombrowserxssvalue headers.customframeoptionsvalue headers.customrequestheaders.* headers.customresponseheaders.* headers.featurepolicy headers.hostsproxyheaders headers.permissionspolicy headers.publickey headers.referrerpolicy headers.sslhost headers.sslproxyheaders.* ipallowlist.ipstrategy.excludedips ipallowlist.sourcerange ipwhitelist.ipstrategy.excludedips ipwhitelist.sourcerange inflightreq.sourcecriterion.ipstrategy.excludedips inflightreq.sourcecriterion.requestheadername ratelimit.redis.endpoints ratelimit.redis.password ratelimit.redis.tls.ca ratelimit.redis.tls.cert ratelimit.redis.tls.key ratelimit.redis.username ratelimit.sourcecriterion.ipstrategy.excludedips ratelimit.sourcecriterion.requestheadername redirectregex.regex redirectregex.replacement redirectscheme.port redirectscheme.scheme replacepath.path replacepathregex.regex replacepathregex.replacement retry.status stripprefix.prefixes stripprefixregex.regex",
    ),
    (
        OptionKind::Number,
        "buffering.maxrequestbodybytes buffering.maxresponsebodybytes buffering.memrequestbodybytes buffering.memresponsebodybytes circuitbreaker.responsecode compress.minresponsebodybytes errors.statusrewrites.* forwardauth.maxbodysize forwardauth.maxresponsebodysize headers.accesscontrolmaxage headers.stsseconds ipallowlist.ipstrategy.depth ipallowlist.ipstrategy.ipv6subnet ipallowlist.rejectstatuscode ipwhitelist.ipstrategy.depth ipwhitelist.ipstrategy.ipv6subnet inflightreq.amount inflightreq.sourcecriterion.ipstrategy.depth inflightreq.sourcecriterion.ipstrategy.ipv6subnet ratelimit.average ratelimit.burst ratelimit.redis.db ratelimit.redis.maxactiveconns ratelimit.redis.minidleconns ratelimit.redis.poolsize ratelimit.sourcecriterion.ipstrategy.depth ratelimit.sourcecriterion.ipstrategy.ipv6subnet retry.attempts retry.maxrequestbodybytes",
    ),
    (
        OptionKind::Switch,
        "basicauth.removeheader contenttype.autodetect digestauth.removeheader encodedcharacters.allowencodedslash encodedcharacters.allowencodedbackslash encodedcharacters.allowencodednullcharacter encodedcharacters.allowencodedsemicolon encodedcharacters.allowencodedpercent encodedcharacters.allowencodedquestionmark encodedcharacters.allowencodedhash forwardauth.forwardbody forwardauth.preservelocationheader forwardauth.preserverequestmethod forwardauth.tls.caoptional forwardauth.tls.insecureskipverify forwardauth.trustforwardheader headers.accesscontrolallowcredentials headers.addvaryheader headers.browserxssfilter headers.contenttypenosniff headers.forcestsheader headers.framedeny headers.isdevelopment headers.sslforcehost headers.sslredirect headers.ssltemporaryredirect headers.stsincludesubdomains headers.stspreload inflightreq.sourcecriterion.requesthost passtlsclientcert.info.issuer.commonname passtlsclientcert.info.issuer.country passtlsclientcert.info.issuer.domaincomponent passtlsclientcert.info.issuer.locality passtlsclientcert.info.issuer.organization passtlsclientcert.info.issuer.province passtlsclientcert.info.issuer.serialnumber passtlsclientcert.info.notafter passtlsclientcert.info.notbefore passtlsclientcert.info.sans passtlsclientcert.info.serialnumber passtlsclientcert.info.subject.commonname passtlsclientcert.info.subject.country passtlsclientcert.info.subject.domaincomponent passtlsclientcert.info.subject.locality passtlsclientcert.info.subject.organization passtlsclientcert.info.subject.organizationalunit passtlsclientcert.info.subject.province passtlsclientcert.info.subject.serialnumber passtlsclientcert.pem ratelimit.redis.tls.insecureskipverify ratelimit.sourcecriterion.requesthost redirectregex.permanent redirectscheme.permanent retry.disableretryonnetworkerror retry.retrynonidempotentmethod stripprefix.forceslash",
    ),
    (
        OptionKind::Duration,
        "circuitbreaker.checkperiod circuitbreaker.fallbackduration circuitbreaker.recoveryduration ratelimit.period ratelimit.redis.dialtimeout ratelimit.redis.readtimeout ratelimit.redis.writetimeout retry.initialinterval retry.timeout",
    ),
    (
        OptionKind::Section,
        "compress contenttype ipallowlist.ipstrategy ipwhitelist.ipstrategy",
    ),
];

const TCP_ROUTER: OptionTable = &[
    (
        OptionKind::Text,
        "entrypoints middlewares service rule rulesyntax tls.options tls.certresolver tls.domains[*].main tls.domains[*].sans",
    ),
    (OptionKind::Number, "priority"),
    (OptionKind::Switch, "tls.passthrough"),
    (OptionKind::Section, "tls"),
];

const TCP_SERVICE: OptionTable = &[
    (
        OptionKind::Text,
        "loadbalancer.serverstransport loadbalancer.healthcheck.send loadbalancer.healthcheck.expect",
    ),
    (
        OptionKind::Number,
        "loadbalancer.proxyprotocol.version loadbalancer.terminationdelay loadbalancer.healthcheck.port",
    ),
    (OptionKind::Switch, "loadbalancer.server.tls"),
    (
        OptionKind::Duration,
        "loadbalancer.healthcheck.interval loadbalancer.healthcheck.timeout loadbalancer.healthcheck.unhealthyinterval",
    ),
    (
        OptionKind::Section,
        "loadbalancer.proxyprotocol loadbalancer.healthcheck",
    ),
    (OptionKind::Port, "loadbalancer.server.port"),
];

const TCP_MIDDLEWARE: OptionTable = &[
    (
        OptionKind::Text,
        "ipallowlist.sourcerange ipwhitelist.sourcerange",
    ),
    (OptionKind::Number, "inflightconn.amount"),
];

const UDP_ROUTER: OptionTable = &[(OptionKind::Text, "entrypoints service")];

const UDP_SERVICE: OptionTable = &[(OptionKind::Port, "loadbalancer.server.port")];

/// Returns the options of one kind of object, `None` where there is no such kind.
fn find_table(protocol: &str, section: &str) -> Option<OptionTable> {
    Some(match (protocol, section) {
        ("http", "routers") => HTTP_ROUTER,
        ("http", "services") => HTTP_SERVICE,
        ("http", "middlewares") => HTTP_MIDDLEWARE,
        ("tcp", "routers") => TCP_ROUTER,
        ("tcp", "services") => TCP_SERVICE,
        ("tcp", "middlewares") => TCP_MIDDLEWARE,
        ("udp", "routers") => UDP_ROUTER,
        ("udp", "services") => UDP_SERVICE,
        _ => return None,
    })
}

/// Iterates over the options of a table with what their values are.
fn list_options(table: OptionTable) -> impl Iterator<Item = (&'static str, OptionKind)> {
    table
        .iter()
        .flat_map(|(kind, names)| names.split(' ').map(|name| (name, *kind)))
}

/// Finds an option, in lower case, of an object. Fails with the option that is nearest to it, if any is.
pub(super) fn find_option(
    protocol: &str,
    section: &str,
    option: &str,
) -> Result<OptionKind, Option<&'static str>> {
    let table = find_table(protocol, section).ok_or(None)?;
    // Plugins have options of their own.
    if section == "middlewares" && protocol == "http" && option.starts_with("plugin.") {
        return Ok(OptionKind::Text);
    }
    if let Some((_, kind)) = list_options(table).find(|(name, _)| matches_option(name, option)) {
        return Ok(kind);
    }
    let names = || list_options(table).map(|(name, _)| name);
    let near = find_near(option, names());
    // The end alone may be misspelt, or what stands before it be forgotten.
    Err(near.or_else(|| {
        let end = option.rsplit('.').next().unwrap_or(option);
        names().find(|name| name.rsplit('.').next() == Some(end))
    }))
}

/// Whether an option is the one of a table.
fn matches_option(known: &str, option: &str) -> bool {
    match known.split_once('*') {
        None => known == option,
        Some((before, after)) => option
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|name| !name.is_empty() && (after.is_empty() || !name.contains('.'))),
    }
}

/// Returns what a value should be, as the end of a sentence, where it is not.
pub(super) fn find_value_fault(kind: OptionKind, value: &str) -> Option<&'static str> {
    let number = value.parse::<i64>();
    match kind {
        OptionKind::Text | OptionKind::Section => None,
        OptionKind::Number => number.is_err().then_some(tr!("a whole number")),
        OptionKind::Switch => parse_switch(value)
            .is_none()
            .then_some(tr!("true or false")),
        OptionKind::Duration => {
            (number.is_err() && !is_duration(value)).then_some(tr!("a time such as 10s or 500ms"))
        }
        OptionKind::Port => {
            (!matches!(value.parse::<u16>(), Ok(1..))).then_some(tr!("a port from 1 to 65535"))
        }
    }
}

/// Reads a switch as Go does.
pub(super) fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a text is a duration of Go: numbers with units, such as `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let is_number = number.chars().any(|c| c.is_ascii_digit())
            && number.chars().filter(|c| *c == '.').count() <= 1;
        // The longer ones first: `ms` is no minute.
        let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"]
            .into_iter()
            .find(|unit| after.starts_with(unit));
        match unit {
            Some(unit) if is_number => rest = &after[unit.len()..],
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_and_their_neighbours_named() {
        for (protocol, section, option, wanted) in [
            (
                "http",
                "routers",
                "tls.domains[0].sans",
                Ok(OptionKind::Text),
            ),
            ("http", "routers", "tls", Ok(OptionKind::Section)),
            (
                "http",
                "middlewares",
                "headers.customrequestheaders.x-a.b",
                Ok(OptionKind::Text),
            ),
            ("http", "middlewares", "plugin.x.y", Ok(OptionKind::Text)),
            (
                "udp",
                "services",
                "loadbalancer.server.port",
                Ok(OptionKind::Port),
            ),
            ("http", "routers", "entrypoint", Err(Some("entrypoints"))),
            (
                "http",
                "routers",
                "certresolver",
                Err(Some("tls.certresolver")),
            ),
            (
                "http",
                "services",
                "loadbalancer.servers.port",
                Err(Some("loadbalancer.server.port")),
            ),
            ("http", "router", "rule", Err(None)),
        ] {
            assert_eq!(find_option(protocol, section, option), wanted, "{option}");
        }
    }

    #[test]
    fn values_of_each_kind() {
        for (kind, good, bad) in [
            (OptionKind::Number, "-1", "1.5"),
            (OptionKind::Switch, "True", "yes"),
            (OptionKind::Duration, "1h30m", "1 s"),
            (OptionKind::Duration, "10", "ms"),
            (OptionKind::Port, "8080", "http"),
            (OptionKind::Port, "65535", "0"),
        ] {
            assert_eq!(find_value_fault(kind, good), None, "{good}");
            assert!(find_value_fault(kind, bad).is_some(), "{bad}");
        }
    }
}
