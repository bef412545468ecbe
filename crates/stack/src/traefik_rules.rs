//! Rules of Traefik's routers, read as Traefik 3 reads them, so that one it would refuse is told before.
//!
//! Sources: <https://doc.traefik.io/traefik/reference/routing-configuration/http/routing/rules-and-priority/>,
//! <https://doc.traefik.io/traefik/reference/routing-configuration/tcp/routing/rules-and-priority/>, and
//! <https://doc.traefik.io/traefik/migrate/v2-to-v3/> for the syntax of Traefik 2. Traefik hands a rule to
//! the parser of Go's expressions: <https://go.dev/ref/spec#Expressions>.

use matou_base::text::InvalidInput;
use matou_i18n::tr;

use super::traefik_keys::find_near;
use super::traefik_regexp::find_regexp_fault;

/// Deepest nesting of parentheses that is followed.
const MAX_DEPTH: usize = 100;

/// Longest piece of a rule that a message repeats, bytes.
const MAX_SHOWN: usize = 200;

/// Which matchers a rule may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleSyntax {
    /// Of HTTP routers.
    Http,
    /// Of HTTP routers with `ruleSyntax: v2`.
    HttpV2,
    /// Of TCP routers.
    Tcp,
    /// Of TCP routers with `ruleSyntax: v2`.
    TcpV2,
}

/// What a matcher takes for its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArgumentKind {
    Name,
    Path,
    Regexp,
    Other,
}

/// A matcher: its name, the fewest and most arguments, and what the last of them is.
type Matcher = (&'static str, usize, usize, ArgumentKind);

const HTTP_MATCHERS: [Matcher; 11] = [
    ("ClientIP", 1, 1, ArgumentKind::Other),
    ("Method", 1, 1, ArgumentKind::Other),
    ("Host", 1, 1, ArgumentKind::Name),
    ("HostRegexp", 1, 1, ArgumentKind::Regexp),
    ("Path", 1, 1, ArgumentKind::Path),
    ("PathRegexp", 1, 1, ArgumentKind::Regexp),
    ("PathPrefix", 1, 1, ArgumentKind::Path),
    ("Header", 2, 2, ArgumentKind::Other),
    ("HeaderRegexp", 2, 2, ArgumentKind::Regexp),
    ("Query", 1, 2, ArgumentKind::Other),
    ("QueryRegexp", 1, 2, ArgumentKind::Regexp),
];

const HTTP_V2_MATCHERS: [Matcher; 10] = [
    ("Host", 1, usize::MAX, ArgumentKind::Other),
    ("HostHeader", 1, usize::MAX, ArgumentKind::Other),
    ("HostRegexp", 1, usize::MAX, ArgumentKind::Other),
    ("ClientIP", 1, usize::MAX, ArgumentKind::Other),
    ("Path", 1, usize::MAX, ArgumentKind::Path),
    ("PathPrefix", 1, usize::MAX, ArgumentKind::Path),
    ("Method", 1, usize::MAX, ArgumentKind::Other),
    ("Headers", 2, usize::MAX, ArgumentKind::Other),
    ("HeadersRegexp", 2, usize::MAX, ArgumentKind::Other),
    ("Query", 1, usize::MAX, ArgumentKind::Other),
];

const TCP_MATCHERS: [Matcher; 4] = [
    ("ALPN", 1, 1, ArgumentKind::Other),
    ("ClientIP", 1, 1, ArgumentKind::Other),
    ("HostSNI", 1, 1, ArgumentKind::Name),
    ("HostSNIRegexp", 1, 1, ArgumentKind::Regexp),
];

const TCP_V2_MATCHERS: [Matcher; 4] = [
    ("ALPN", 1, usize::MAX, ArgumentKind::Other),
    ("ClientIP", 1, usize::MAX, ArgumentKind::Other),
    ("HostSNI", 1, usize::MAX, ArgumentKind::Other),
    ("HostSNIRegexp", 1, usize::MAX, ArgumentKind::Other),
];

/// Matchers of Traefik 2 and what they are called in Traefik 3.
const RENAMED_MATCHERS: [(&str, &str); 3] = [
    ("Headers", "Header"),
    ("HeadersRegexp", "HeaderRegexp"),
    ("HostHeader", "Host"),
];

impl RuleSyntax {
    fn matchers(self) -> &'static [Matcher] {
        match self {
            Self::Http => &HTTP_MATCHERS,
            Self::HttpV2 => &HTTP_V2_MATCHERS,
            Self::Tcp => &TCP_MATCHERS,
            Self::TcpV2 => &TCP_V2_MATCHERS,
        }
    }

    /// Finds a matcher by one of the spellings that Traefik takes: its own, all small, all large, or
    /// with one capital.
    fn find_matcher(self, name: &str) -> Option<&'static Matcher> {
        self.matchers().iter().find(|(known, ..)| {
            let small = known.to_ascii_lowercase();
            let mut title = small.clone();
            if let Some(first) = title.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            [*known, &small, &known.to_ascii_uppercase(), &title].contains(&name)
        })
    }
}

/// A rule that Traefik takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ParsedRule {
    /// Names in `HostSNI`, in lower case.
    pub server_names: Vec<String>,
    /// What Traefik takes otherwise than it is meant, with its cure; a sentence each.
    pub doubts: Vec<String>,
}

/// Reads a rule. Fails with what Traefik would refuse, and what to write instead.
pub(super) fn parse_rule(rule: &str, syntax: RuleSyntax) -> Result<ParsedRule, InvalidInput> {
    let mut parser = RuleParser {
        tokens: split_tokens(rule)?,
        at: 0,
        syntax,
        out: ParsedRule::default(),
    };
    parser.parse_alternatives(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(parser.out),
        // A line's end after the rule means nothing.
        Some(Token::End) if parser.at + 1 == parser.tokens.len() => Ok(parser.out),
        Some(Token::End) => Err(InvalidInput::new(tr!(
            "its line ends before it does: write the rule in one line"
        ))),
        Some(more) => Err(InvalidInput::new(tr!(
            "join its parts with && or || before {}",
            more.show()
        ))),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    /// A name.
    Name(&'a str),
    /// The text in quotes.
    Text(String),
    /// What stands between single quotes.
    Single(&'a str),
    /// A number.
    Number(&'a str),
    /// An operator, a bracket or a comma.
    Mark(&'a str),
    /// The end of a line after which an expression may end.
    End,
}

impl Token<'_> {
    fn show(&self) -> String {
        match self {
            Self::Name(text) | Self::Number(text) | Self::Mark(text) => shorten(text),
            Self::Single(text) => format!("'{}'", shorten(text)),
            Self::Text(text) => format!("`{}`", shorten(text)),
            Self::End => tr!("the line's end").into(),
        }
    }
}

/// Cuts a text that a message repeats.
pub(super) fn shorten(text: &str) -> String {
    match text.len() > MAX_SHOWN {
        true => format!("{}…", &text[..text.floor_char_boundary(MAX_SHOWN)]),
        false => text.to_owned(),
    }
}

fn split_tokens(rule: &str) -> Result<Vec<Token<'_>>, InvalidInput> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut rest = rule;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\n' => {
                let may_end = matches!(
                    tokens.last(),
                    Some(
                        Token::Name(_)
                            | Token::Text(_)
                            | Token::Single(_)
                            | Token::Number(_)
                            | Token::Mark(")")
                    )
                );
                if may_end {
                    tokens.push(Token::End);
                }
                1
            }
            ' ' | '\t' | '\r' => 1,
            '`' => {
                let Some(end) = rest[1..].find('`') else {
                    return Err(InvalidInput::new(tr!(
                        "a back-tick is not closed: write Host(`example.org`)"
                    )));
                };
                tokens.push(Token::Text(rest[1..=end].replace('\r', "")));
                end + 2
            }
            '"' => {
                let (text, length) = read_quoted(rest)?;
                tokens.push(Token::Text(text));
                length
            }
            '\'' => {
                let end = rest[1..].find('\'').unwrap_or(rest.len() - 1);
                tokens.push(Token::Single(&rest[1..=end]));
                (end + 2).min(rest.len())
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                tokens.push(Token::Name(&rest[..length]));
                length
            }
            c if c.is_ascii_digit() => {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '.')
                    .unwrap_or(rest.len());
                tokens.push(Token::Number(&rest[..length]));
                length
            }
            c => {
                let mark = ["&&", "||"].into_iter().find(|mark| rest.starts_with(mark));
                let mark = mark.unwrap_or(&rest[..c.len_utf8()]);
                tokens.push(Token::Mark(mark));
                mark.len()
            }
        };
        rest = &rest[taken..];
    }
    Ok(tokens)
}

/// Reads a text in double quotes with the escapes of Go. Returns it and its length with the quotes.
fn read_quoted(rest: &str) -> Result<(String, usize), InvalidInput> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((text, at + 1)),
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, c @ ('\\' | '"'))) => text.push(c),
                Some((
                    _,
                    c @ ('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'u' | 'U' | '0'..='7'),
                )) => {
                    text.push('\\');
                    text.push(c);
                }
                Some((_, c)) => {
                    return Err(InvalidInput::new(tr!(
                        "\\{c} is no escape in double quotes: write the value in back-ticks, or \\\\{c}"
                    )));
                }
                None => break,
            },
            c => text.push(c),
        }
    }
    Err(InvalidInput::new(tr!(
        "a double quote is not closed: write Host(`example.org`)"
    )))
}

struct RuleParser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    syntax: RuleSyntax,
    out: ParsedRule,
}

impl<'a> RuleParser<'a> {
    fn take(&mut self, wanted: &Token<'_>) -> bool {
        let is = self.tokens.get(self.at) == Some(wanted);
        self.at += usize::from(is);
        is
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn parse_alternatives(&mut self, depth: usize) -> Result<(), InvalidInput> {
        if depth > MAX_DEPTH {
            return Err(InvalidInput::new(tr!(
                "its parentheses are nested too deeply"
            )));
        }
        loop {
            self.parse_operand(depth)?;
            while self.take(&Token::Mark("&&")) {
                self.parse_operand(depth)?;
            }
            if !self.take(&Token::Mark("||")) {
                return Ok(());
            }
        }
    }

    fn parse_operand(&mut self, depth: usize) -> Result<(), InvalidInput> {
        while self.take(&Token::Mark("!")) {}
        match self.next() {
            Some(Token::Mark("(")) => {
                self.parse_alternatives(depth + 1)?;
                match self.take(&Token::Mark(")")) {
                    true => Ok(()),
                    false => Err(InvalidInput::new(match self.tokens.get(self.at) {
                        None => tr!("a parenthesis is not closed").to_owned(),
                        Some(more) => {
                            tr!("join its parts with && or || before {}", more.show())
                        }
                    })),
                }
            }
            Some(Token::Name(name)) => self.parse_call(name),
            Some(Token::Mark("&" | "|")) => {
                Err(InvalidInput::new(tr!("write && for and, || for or")))
            }
            Some(other) => Err(InvalidInput::new(tr!(
                "{} stands where a matcher belongs, such as Host(`example.org`)",
                other.show()
            ))),
            None if self.tokens.is_empty() => Err(InvalidInput::new(tr!("it is empty"))),
            None => Err(InvalidInput::new(tr!(
                "it ends where a matcher belongs, such as Host(`example.org`)"
            ))),
        }
    }

    fn parse_call(&mut self, name: &str) -> Result<(), InvalidInput> {
        let Some(matcher) = self.syntax.find_matcher(name) else {
            return Err(self.explain_unknown_matcher(name));
        };
        if !self.take(&Token::Mark("(")) {
            if self.take(&Token::Mark(":")) {
                return Err(InvalidInput::new(tr!(
                    "{name}: is how Traefik 1 wrote it: write {name}(`…`)"
                )));
            }
            return Err(InvalidInput::new(tr!(
                "{name} has no parentheses: write {name}(`…`)"
            )));
        }
        let mut arguments = Vec::new();
        while !self.take(&Token::Mark(")")) {
            match self.next() {
                Some(Token::Text(text)) => arguments.push(text),
                other => return Err(explain_argument(name, other.as_ref())),
            }
            if !self.take(&Token::Mark(",")) {
                match self.take(&Token::Mark(")")) {
                    true => break,
                    false => {
                        return Err(InvalidInput::new(tr!(
                            "the parenthesis of {name} is not closed after its value"
                        )));
                    }
                }
            }
        }
        self.check_arguments(matcher, &arguments)
    }

    fn explain_unknown_matcher(&self, name: &str) -> InvalidInput {
        let renamed = RENAMED_MATCHERS.iter().find(|(old, _)| *old == name);
        if let (RuleSyntax::Http, Some((old, new))) = (self.syntax, renamed) {
            return InvalidInput::new(tr!("{old} is of Traefik 2: Traefik 3 calls it {new}"));
        }
        let names = || self.syntax.matchers().iter().map(|(name, ..)| *name);
        let same = names().find(|known| known.eq_ignore_ascii_case(name));
        let hint = match same.or_else(|| find_near(name, names())) {
            Some(near) => tr!("did you mean {near}?"),
            None => tr!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        InvalidInput::new(tr!("{} is no matcher: {hint}", shorten(name)))
    }

    fn check_arguments(
        &mut self,
        (name, fewest, most, kind): &Matcher,
        arguments: &[String],
    ) -> Result<(), InvalidInput> {
        if arguments.iter().all(String::is_empty) {
            return Err(InvalidInput::new(tr!(
                "{name} has no value: write {name}(`…`), and see that no shell takes the back-ticks away"
            )));
        }
        if arguments.iter().any(String::is_empty) {
            return Err(InvalidInput::new(tr!("a value of {name} is empty")));
        }
        if arguments.len() > *most && *most == 1 {
            let each: Vec<String> = arguments.iter().map(|a| format!("{name}(`{a}`)")).collect();
            return Err(InvalidInput::new(tr!(
                "Traefik 3 takes one value in {name}: write ({})",
                shorten(&each.join(" || "))
            )));
        }
        if !(*fewest..=*most).contains(&arguments.len()) {
            return Err(InvalidInput::new(tr!(
                "{name} takes {most} values, and has {}",
                arguments.len()
            )));
        }
        let last = arguments.last().map_or("", String::as_str);
        if *name == "HostSNI" {
            let small = arguments.iter().map(|a| a.to_ascii_lowercase());
            self.out.server_names.extend(small);
        }
        match kind {
            ArgumentKind::Path if !last.starts_with('/') => Err(InvalidInput::new(tr!(
                "the path of {name} begins with a slash: write {name}(`/{}`)",
                shorten(last)
            ))),
            ArgumentKind::Path if matches!(self.syntax, RuleSyntax::Http) => {
                self.doubt_template(name, last);
                Ok(())
            }
            ArgumentKind::Name => self.check_name(name, last),
            ArgumentKind::Regexp => {
                if last.is_ascii() || !name.starts_with("Host") {
                    self.doubt_template(name, last);
                } else {
                    return Err(not_ascii(name));
                }
                match find_regexp_fault(last) {
                    Some(fault) => Err(InvalidInput::new(tr!("the expression in {name} {fault}"))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn check_name(&mut self, matcher: &str, name: &str) -> Result<(), InvalidInput> {
        if !name.is_ascii() {
            return Err(not_ascii(matcher));
        }
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"._-:*".contains(c);
        if matcher == "HostSNI" && name != "*" && (name.contains(odd) || name[1..].contains('*')) {
            return Err(InvalidInput::new(tr!(
                "`{}` is no host name, and HostSNI takes nothing else",
                shorten(name)
            )));
        }
        if name.contains('{') {
            self.out.doubts.push(tr!(
                "{matcher} takes `{}` as it is: write {matcher}Regexp(`…`) with a regular expression",
                shorten(name)
            ));
        } else if let Some(c) = name.chars().find(|c| odd(*c)) {
            self.out.doubts.push(tr!(
                "no request comes for `{}`: {c:?} is in no host name",
                shorten(name)
            ));
        }
        Ok(())
    }

    /// Doubts what was a template in Traefik 2: `{name:expression}`.
    fn doubt_template(&mut self, matcher: &str, value: &str) {
        let Some((_, after)) = value.split_once('{') else {
            return;
        };
        let Some((inside, _)) = after.split_once('}') else {
            return;
        };
        let named = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !inside.starts_with(named) {
            return;
        }
        let matcher = match matcher {
            "Path" | "PathPrefix" => "PathRegexp",
            other => other,
        };
        let expression = inside.split_once(':').map_or("[^/]+", |(_, e)| e);
        let whole = value.replacen(&format!("{{{inside}}}"), expression, 1);
        self.out.doubts.push(tr!(
            "{{{}}} is a template of Traefik 2, which Traefik 3 takes as it is: write {matcher}(`^{}`)",
            shorten(inside),
            shorten(&whole)
        ));
    }
}

fn not_ascii(matcher: &str) -> InvalidInput {
    InvalidInput::new(tr!(
        "a name in {matcher} has letters outside of ASCII: write it as DNS does, with xn--"
    ))
}

fn explain_argument(name: &str, found: Option<&Token<'_>>) -> InvalidInput {
    InvalidInput::new(match found {
        None => tr!("the parenthesis of {name} is not closed"),
        Some(Token::Single(text)) => {
            let text = shorten(text);
            tr!("'{text}' stands in single quotes: write {name}(`{text}`) with back-ticks")
        }
        Some(other) => tr!(
            "{} in {name} stands in no quotes: write {name}(`…`) with back-ticks, and see that no shell takes them away",
            other.show()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_traefik_takes() {
        for (rule, syntax) in [
            ("Host(`a.org`)", RuleSyntax::Http),
            (
                "host(`a.org`) && !(PATHPREFIX(\"/a\") || Pathprefix(`/b`))",
                RuleSyntax::Http,
            ),
            (
                "Host(`a.org`) &&\n PathRegexp(`^/(a|b)/[0-9]{2,}$`)\n",
                RuleSyntax::Http,
            ),
            (
                "Header(`X-A`, `b`) || Query(`a`) || Query(`a`, `b`,)",
                RuleSyntax::Http,
            ),
            (
                "Host(`a.org`, `b.org`) && Headers(`A`, `b`)",
                RuleSyntax::HttpV2,
            ),
            ("HostSNI(`*`)", RuleSyntax::Tcp),
            (
                "HostSNI(`*.a.org`) && ClientIP(`10.0.0.0/8`)",
                RuleSyntax::Tcp,
            ),
        ] {
            let parsed = parse_rule(rule, syntax).unwrap();
            assert_eq!(parsed.doubts, Vec::<String>::new(), "{rule}");
        }
    }

    #[test]
    fn rules_that_traefik_refuses_and_their_cures() {
        for (rule, wanted) in [
            ("Host('a.org')", "write Host(`a.org`) with back-ticks"),
            (
                "PathPrefix()",
                "see that no shell takes the back-ticks away",
            ),
            ("Host(a.org)", "a in Host stands in no quotes"),
            ("Host(``)", "Host has no value"),
            (
                "Host(`a.org`,`b.org`)",
                "write (Host(`a.org`) || Host(`b.org`))",
            ),
            (
                "Host(`a.org`) Path(`/`)",
                "join its parts with && or || before Path",
            ),
            ("Host(`a.org`) && (Path(`/`)", "a parenthesis is not closed"),
            ("Host(`a.org`) & Path(`/`)", "join its parts"),
            ("Host(`a.org`) &&", "it ends where a matcher belongs"),
            ("Host(`a.org", "a back-tick is not closed"),
            ("Host:a.org", "is how Traefik 1 wrote it"),
            ("Hots(`a.org`)", "did you mean Host?"),
            ("hostRegexp(`a`)", "did you mean HostRegexp?"),
            ("Headers(`A`, `b`)", "Traefik 3 calls it Header"),
            ("PathPrefix(`a`)", "write PathPrefix(`/a`)"),
            ("HostRegexp(`*.a.org`)", "nothing before it to repeat"),
            ("Host(`bücher.example`)", "with xn--"),
            ("Host(`a.org`)\n&& Path(`/`)", "write the rule in one line"),
            ("Header(`A`)", "Header takes 2 values, and has 1"),
            ("", "it is empty"),
        ] {
            let error = parse_rule(rule, RuleSyntax::Http).unwrap_err().to_string();
            assert!(error.contains(wanted), "{rule}: {error}");
        }
    }

    #[test]
    fn templates_of_traefik_2_are_doubted() {
        for (rule, wanted) in [
            ("HostRegexp(`{host:.+}`)", "write HostRegexp(`^.+`)"),
            ("Path(`/{id:[0-9]+}/a`)", "write PathRegexp(`^/[0-9]+/a`)"),
            ("Host(`{sub}.a.org`)", "write HostRegexp("),
        ] {
            let parsed = parse_rule(rule, RuleSyntax::Http).unwrap();
            assert!(parsed.doubts.concat().contains(wanted), "{parsed:?}");
        }
    }

    #[test]
    fn deep_nesting_ends() {
        let deep = format!("{}Host(`a`){}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parse_rule(&deep, RuleSyntax::Http).is_err());
        parse_rule(
            &format!("{}Host(`a`)", "!".repeat(10_000)),
            RuleSyntax::Http,
        )
        .unwrap();
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(rule in "[A-Za-zé(){}`'\"!&|,:;*\\\\/ \n0-9.-]{0,60}") {
            for syntax in [RuleSyntax::Http, RuleSyntax::HttpV2, RuleSyntax::Tcp, RuleSyntax::TcpV2] {
                let _ = parse_rule(&rule, syntax);
            }
        }
    }
}
