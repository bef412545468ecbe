//! What comes from outside is hostile: compose files, acme.json, `x-matou`, configuration, what nodes,
//! restic and Traefik print. The targets of fuzz/ over their corpus and over what comes of changing it,
//! with bounded effort; stack files of pieces that get further than the YAML parser; and what is enormous.

mod resources;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use matou::edge::AcmeStore;
use matou::fuzzed;
use proptest::prelude::*;

/// How long changed inputs are tried, for each target.
const EFFORT: Duration = Duration::from_secs(2);

/// Largest input that is made, bytes.
const LARGEST: usize = 4096;

/// Random numbers that are the same each time (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below another, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Texts that parsers have opinions about.
const TOKENS: [&str; 24] = [
    "\u{1b}[",
    "\u{1b}]",
    "\u{9b}",
    "\u{202e}",
    "\u{200d}",
    "\u{301}",
    "\r",
    "\n",
    "\0",
    "\"",
    "\\u001b",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "&a",
    "*a",
    "${",
    "18446744073709551615",
    "-1",
    "1e400",
    "null",
];

/// An input that one or two others became.
fn changed(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at).min(64) + 1);
        match random.below(6) {
            0 => drop(input.drain(at..end)),
            1 => {
                let token = TOKENS[random.below(TOKENS.len())];
                drop(input.splice(at..at, token.bytes()));
            }
            2 => {
                let token = TOKENS[random.below(TOKENS.len())];
                drop(input.splice(at..end, token.bytes()));
            }
            3 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            4 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(LARGEST);
    input
}

/// Files of a target's corpus, in the order of their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Runs a target over its corpus, then over what comes of changing it. `MATOU_TEST_SEED` tries others.
fn tried(target: &str) {
    let (_, run) = fuzzed::TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let files = corpus(target);
    for (file, content) in &files {
        assert!(content.len() <= 2048, "{file} is too large");
        catch_unwind(|| run(content)).unwrap_or_else(|_| panic!("{file} breaks a promise"));
    }
    let seed = std::env::var("MATOU_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(0x6d61_746f_7521);
    let mut random = Random(seed);
    let corpus: Vec<Vec<u8>> = files.into_iter().map(|(_, content)| content).collect();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < EFFORT {
        let input = changed(&mut random, &corpus);
        count += 1;
        let one = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            let text = String::from_utf8_lossy(&input);
            panic!("{target}, seed {seed}, number {count} breaks a promise: {text:?}");
        }
        assert!(
            one.elapsed() < EFFORT * 5,
            "{target}, seed {seed}, number {count} took {:?}",
            one.elapsed()
        );
    }
    println!("{target}: {count} inputs");
}

/// A test for each target.
macro_rules! targets {
    ($($name:ident)*) => {
        $(mod $name {
            #[test]
            fn keeps_its_promises() {
                super::tried(stringify!($name));
            }
        })*

        #[test]
        fn every_target_is_tried() {
            let names: Vec<&str> = fuzzed::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            for name in names {
                let file = format!("{}/fuzz/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                assert!(Path::new(&file).is_file(), "{file}");
            }
        }
    };
}

targets!(access acme app compose config escapes extension facts lsblk lvm nft restic sshd);

/// Pieces that compose files are made of, so that what is tried gets further than the YAML parser.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "services:",
        "  web:",
        "  db:",
        "    image: x:1",
        "    image: ${I:-x:1}",
        "    image:",
        "    deploy:",
        "      labels:",
        "        - traefik.port=80",
        "        traefik.frontend.rule: Host:a.org",
        "        - traefik.http.routers.a.rule=Host(`${D}`)",
        "      replicas: ${R:-2}",
        "      resources: {limits: {memory: 99999999999g}}",
        "      resources: {reservations: {memory: -1, cpus: 1e400}}",
        "      placement: {constraints: x}",
        "    ports: ['80:80', '1-70000:1', 8080]",
        "    volumes: ['data:/data', /x:/y, {type: bind}]",
        "    networks: [n, default]",
        "    networks: {n: {aliases: [a]}}",
        "volumes:",
        "  data: {driver: nfs}",
        "  data: {driver: nfs, driver_opts: {share: ':', create: true}}",
        "networks:",
        "  n: {external: {name: y}}",
        "  n: {external: true}",
        "secrets:",
        "  s: {external: true}",
        "configs:",
        "  c: {file: ./none}",
        "x-matou:",
        "  variables: [{name: D, required: true}]",
        "  secrets: [{name: s}]",
        "  check: {within: 1}",
        "  backup: {dumps: [{service: db, file: /d}]}",
        "x-a: &a {image: y:1}",
        "    <<: *a",
        "version: 3",
        "- a",
        "? b",
        "--- ",
        "\t",
        "    environment: {A: $$B, C: ${C:?no}}",
        "    env_file: none.env",
    ];
    prop_oneof![
        9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn stack_files_of_any_kind(lines in proptest::collection::vec(piece(), 0..24)) {
        fuzzed::fuzz_compose(lines.join("\n").as_bytes());
    }

    #[test]
    fn an_extension_of_any_kind(
        key in "(title|variables|secrets|backup|check|restore|x)",
        value in "[\\[\\]{}:, a-z0-9\"'&*!|>-]{0,60}",
    ) {
        fuzzed::fuzz_extension(format!("{key}: {value}").as_bytes());
    }

    #[test]
    fn a_store_of_any_kind(
        names in proptest::collection::vec("[a-zA-Z.*]{0,12}", 0..4),
        key in "(Certificates|certificates|Account|le|HTTPChallenges)",
        inner in "(Certificates|CERTIFICATES|x)",
        noise in "[\\[\\]{}:,\"a-z0-9 ]{0,60}",
    ) {
        let list: Vec<serde_json::Value> = names
            .iter()
            .map(|n| serde_json::json!({"Domain": {"Main": n, "SANs": names}, "certificate": n, "Key": n}))
            .collect();
        for document in [
            serde_json::json!({ &key: list }),
            serde_json::json!({ &key: { &inner: list } }),
        ] {
            if let Ok(store) = AcmeStore::parse(&document.to_string()) {
                for name in &names {
                    let (text, gone) = store.render_without_name(&name.to_ascii_lowercase());
                    let rest = AcmeStore::parse(&text).unwrap();
                    prop_assert_eq!(rest.certificates.len() + gone, store.certificates.len());
                }
            }
        }
        let _ = AcmeStore::parse(&noise);
    }
}
