//! What the engine's client refuses, `matou lint` finds, at the line where it stands; what it takes,
//! matou takes. The client itself is asked: `docker stack config`, which needs no engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use matou_config::Config;
use matou_stack::{Catalogue, LintFinding, LintSeverity, RenderTarget};

/// Longest time that one file may take.
const SLOWEST: Duration = Duration::from_secs(1);

/// What of foreign files must agree, of a hundred.
const LEAST_AGREEMENT: f64 = 99.0;

/// Parts of errors about what only a deploy refuses, or Traefik: `docker stack config` takes it.
const LATER_THAN_THE_CLIENT: [&str; 10] = [
    // A rule of Traefik 1 whose variable has no value.
    "has no value",
    "Swarm",
    "Traefik",
    "has no content: give it a `file`",
    "is not among the",
    "is not declared: add it under",
    "has no image",
    "publishes",
    "leads to no port",
    "have the same rule",
];

/// Keys that the client refuses at once, whatever the words of matou's error.
const FORBIDDEN: [&str; 8] = [
    "`extends`",
    "`volume_driver`",
    "`volumes_from`",
    "`cpu_quota`",
    "`cpu_shares`",
    "`cpuset`",
    "`mem_limit`",
    "`memswap_limit`",
];

/// Parts of errors about what matou refuses of its own accord.
const NOT_FOR_STACKS: [&str; 12] = [
    "more than one document",
    "does not say where it leads",
    "is no folder of",
    "can't be read",
    "where the stack file is",
    "Swarm takes 1 to",
    "a stack file has a mapping `services:`",
    "matou's own",
    "is no name",
    "x-matou",
    "/ is no file",
    "mapping values are not allowed",
];

/// Asks the client, with no variable set. Returns why it refuses the file; `None` when it takes it.
fn find_client_refusal(file: &Path) -> Option<String> {
    let answer = Command::new("docker")
        .args(["stack", "config", "--compose-file"])
        .arg(file)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .expect("a docker client");
    if answer.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let lines: Vec<&str> = said
        .lines()
        .filter(|l| !l.starts_with("time=") && !l.is_empty())
        .collect();
    Some(lines.join(" "))
}

fn has_client() -> bool {
    let asked = Command::new("docker")
        .args(["stack", "config", "--help"])
        .output();
    asked.is_ok_and(|a| a.status.success())
}

fn lint_file(catalogue: &Catalogue, file: &Path) -> Vec<LintFinding> {
    let config = Config::this_machine();
    let path = file.display().to_string();
    match catalogue.lint_stack(&path, &RenderTarget::for_fleet(&config)) {
        Ok(findings) => findings,
        Err(e) => vec![LintFinding {
            severity: LintSeverity::Error,
            file: path,
            line: 0,
            message: e.to_string(),
        }],
    }
}

fn list_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder of stack files")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    files.sort();
    files
}

/// What the first lines of a case say: `# client: …`, `# swarm: …`, `# warning: …` or `# taken: …`, then
/// `# line: 7` for each line with a finding.
struct Case {
    kind: String,
    lines: Vec<usize>,
}

impl Case {
    fn read_case(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a case");
        let mut comments = text.lines().map_while(|l| l.strip_prefix("# "));
        let first = comments.next().and_then(|l| l.split_once(": "));
        let (kind, _) = first.unwrap_or_else(|| panic!("{}: no kind", file.display()));
        let lines = comments
            .filter_map(|l| l.strip_prefix("line: "))
            .map(|l| l.parse().expect("a line"))
            .collect();
        Self {
            kind: kind.to_owned(),
            lines,
        }
    }
}

/// What is not as the first lines of a case say.
fn judge_case(catalogue: &Catalogue, file: &Path) -> Vec<String> {
    let case = Case::read_case(file);
    let findings = lint_file(catalogue, file);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let (severity, refused) = match case.kind.as_str() {
        "client" => (LintSeverity::Error, true),
        // Where the client loses an error, matou tells it.
        "swarm" | "stricter" => (LintSeverity::Error, false),
        "warning" | "taken" => (LintSeverity::Warning, false),
        other => panic!("{name}: {other} is no kind"),
    };
    let mut wrong = Vec::new();
    let mut lines: Vec<usize> = findings
        .iter()
        .filter(|f| f.severity == LintSeverity::Error)
        .map(|f| f.line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    if severity == LintSeverity::Error && lines != case.lines {
        wrong.push(format!(
            "{name}: errors at {lines:?}, not {:?}: {said:#?}",
            case.lines
        ));
    }
    let warned = |line: &usize| findings.iter().any(|f| f.line == *line);
    if severity == LintSeverity::Warning && (!lines.is_empty() || !case.lines.iter().all(warned)) {
        wrong.push(format!("{name}: {said:#?}"));
    }
    assert_eq!(
        case.kind != "taken",
        !case.lines.is_empty(),
        "{name}: lines"
    );
    if has_client() {
        let refusal = find_client_refusal(file);
        if refusal.is_some() != refused {
            wrong.push(format!("{name}: the client says {refusal:?}"));
        }
    } else {
        eprintln!("there is no docker client: {name} is not held against it");
    }
    wrong
}

#[test]
fn each_case_is_refused_by_who_it_says_at_the_line_it_says() {
    let catalogue = Catalogue::load(None).unwrap();
    let files = list_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts"));
    assert!(files.len() > 50, "{} cases", files.len());
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| judge_case(&catalogue, file))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Makes a test of each file of a folder of `tests/cases`, by its name, and one that none is without.
macro_rules! test_cases {
    ($folder:ident: $($name:ident)+) => {
        mod $folder {
            const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/", stringify!($folder));

            $(#[test]
            fn $name() {
                let name = stringify!($name).replace('_', "-");
                let file = std::path::Path::new(FOLDER).join(format!("{name}.yml"));
                let catalogue = matou_stack::Catalogue::load(None).unwrap();
                assert_eq!(super::judge_case(&catalogue, &file), Vec::<String>::new());
            })+

            #[test]
            fn every_file_is_a_test() {
                let mut tested = vec![$(stringify!($name).replace('_', "-")),+];
                tested.sort();
                let files = super::list_files(std::path::Path::new(FOLDER));
                let mut names: Vec<String> =
                    files.iter().map(|f| f.file_stem().unwrap().to_string_lossy().into_owned()).collect();
                names.sort();
                assert_eq!(tested, names);
            }
        }
    };
}

test_cases! { given:
    depends_on_map
    edge_no_tls
    env_file
    env_file_read
    env_file_unset
    jobs
    line_comment
    merge_chain
    migrate_comments
    migrate_flow
    migrate_health_headers
    migrate_order
    migrate_segments
    octal_mode
    port_slash
    random_port
    required_hides_lint
    schema_bool_env
    schema_cpus
    schema_unknown_nested
    swarm_modes
    template_driver
    unset_port
    version_33_config
}

test_cases! { reports:
    awesome_stacks_listmonk
    docker_cli_1073
    docker_cli_2075
    docker_cli_2075_unset
    docker_compose_13459
    docker_compose_7772
    kamal_50
    komodo_700
    moby_29133
    moby_30629
    moby_31564
    moby_36934
    portainer_12635
    swarmkit_1693
    swarmkit_2918
    traefik_11274
}

#[test]
fn every_case_has_a_row_in_the_table_and_every_row_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let table = std::fs::read_to_string(folder.join("README.md")).expect("a table");
    let rows: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    for row in &rows {
        assert!(folder.join(row).is_file(), "{row} is no file");
    }
    for part in ["given", "reports"] {
        for file in list_files(&folder.join(part)) {
            let name = file.strip_prefix(&folder).unwrap().display().to_string();
            assert!(rows.contains(&name.as_str()), "{name} has no row");
        }
    }
    // Those beside a given one.
    let beside = table.split('`').skip(1).step_by(2);
    for file in beside.filter(|text| text.starts_with("../") || text.ends_with(".yml")) {
        assert!(folder.join(file).is_file(), "{file} is no file");
    }
}

/// Places in a file, as YAML in which `@` stands for a value.
const PLACES: &str = "
@
version: @
services: @
services: {w: @}
services: {w: {image: a, build: @}}
services: {w: {image: a, build: {context: @}}}
services: {w: {image: a, build: {shm_size: @}}}
services: {w: {image: a, build: {cache_from: @}}}
services: {w: {image: a, cap_add: @}}
services: {w: {image: a, command: @}}
services: {w: {image: a, configs: [@]}}
services: {w: {image: a, configs: [{source: a, mode: @}]}}
services: {w: {image: a, configs: [{source: a, uid: @}]}}
services: {w: {image: a, container_name: @}}
services: {w: {image: a, credential_spec: {file: @}}}
services: {w: {image: a, depends_on: @}}
services: {w: {image: a, dns: @}}
services: {w: {image: a, environment: @}}
services: {w: {image: a, environment: {A: @}}}
services: {w: {image: a, environment: [@]}}
services: {w: {image: a, expose: @}}
services: {w: {image: a, expose: [@]}}
services: {w: {image: a, extra_hosts: @}}
services: {w: {image: a, healthcheck: @}}
services: {w: {image: a, healthcheck: {disable: @}}}
services: {w: {image: a, healthcheck: {interval: @}}}
services: {w: {image: a, healthcheck: {retries: @}}}
services: {w: {image: a, healthcheck: {test: @}}}
services: {w: {image: @}}
services: {w: {image: a, init: @}}
services: {w: {image: a, labels: @}}
services: {w: {image: a, links: @}}
services: {w: {image: a, logging: @}}
services: {w: {image: a, logging: {options: @}}}
services: {w: {image: a, logging: {options: {a: @}}}}
services: {w: {image: a, networks: @}}
services: {w: {image: a, networks: {default: @}}}
services: {w: {image: a, networks: {default: {aliases: @}}}}
services: {w: {image: a, networks: {default: {driver_opts: {a: @}}}}}
services: {w: {image: a, oom_score_adj: @}}
services: {w: {image: a, pid: @}}
services: {w: {image: a, ports: @}}
services: {w: {image: a, ports: [@]}}
services: {w: {image: a, ports: [{target: @}]}}
services: {w: {image: a, ports: [{target: 80, published: @}]}}
services: {w: {image: a, ports: [{target: 80, mode: @}]}}
services: {w: {image: a, privileged: @}}
services: {w: {image: a, secrets: @}}
services: {w: {image: a, shm_size: @}}
services: {w: {image: a, stop_grace_period: @}}
services: {w: {image: a, sysctls: @}}
services: {w: {image: a, tmpfs: @}}
services: {w: {image: a, ulimits: {nofile: @}}}
services: {w: {image: a, ulimits: {nofile: {soft: @, hard: 1}}}}
services: {w: {image: a, user: @}}
services: {w: {image: a, volumes: @}}
services: {w: {image: a, volumes: [@]}}
services: {w: {image: a, volumes: [{type: @}]}}
services: {w: {image: a, volumes: [{type: volume, target: /a, read_only: @}]}}
services: {w: {image: a, volumes: [{type: volume, target: /a, volume: {nocopy: @}}]}}
services: {w: {image: a, volumes: [{type: tmpfs, target: /a, tmpfs: {size: @}}]}}
services: {w: {image: a, deploy: @}}
services: {w: {image: a, deploy: {mode: @}}}
services: {w: {image: a, deploy: {replicas: @}}}
services: {w: {image: a, deploy: {labels: @}}}
services: {w: {image: a, deploy: {update_config: @}}}
services: {w: {image: a, deploy: {update_config: {parallelism: @}}}}
services: {w: {image: a, deploy: {update_config: {delay: @}}}}
services: {w: {image: a, deploy: {update_config: {max_failure_ratio: @}}}}
services: {w: {image: a, deploy: {update_config: {order: @}}}}
services: {w: {image: a, deploy: {resources: {limits: {cpus: @}}}}}
services: {w: {image: a, deploy: {resources: {limits: {memory: @}}}}}
services: {w: {image: a, deploy: {resources: {limits: {pids: @}}}}}
services: {w: {image: a, deploy: {resources: {reservations: {generic_resources: [@]}}}}}
services: {w: {image: a, deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: @}}]}}}}}
services: {w: {image: a, deploy: {restart_policy: {condition: @}}}}
services: {w: {image: a, deploy: {restart_policy: {max_attempts: @}}}}
services: {w: {image: a, deploy: {placement: {constraints: @}}}}
services: {w: {image: a, deploy: {placement: {preferences: [@]}}}}
services: {w: {image: a, deploy: {placement: {max_replicas_per_node: @}}}}
networks: {n: @}
networks: {n: {external: @}}
networks: {n: {driver_opts: {a: @}}}
networks: {n: {ipam: {config: @}}}
networks: {n: {ipam: {config: [{subnet: @}]}}}
networks: {n: {internal: @}}
networks: {n: {labels: @}}
volumes: {v: @}
volumes: {v: {name: @}}
volumes: {v: {external: @}}
volumes: {v: {driver_opts: @}}
volumes: {v: {x-cluster-spec: @}}
volumes: {v: {x-cluster-spec: {capacity_range: {limit_bytes: @}}}}
volumes: {v: {x-cluster-spec: {accessibility_requirements: {preferred: [{segments: @}]}}}}
secrets: @
secrets: {s: @}
secrets: {s: {external: @}}
secrets: {s: {driver: @}}
configs: {c: @}
configs: {c: {template_driver: @}}
x-own: @
";

/// Values of every kind.
const VALUES: [&str; 20] = [
    "",
    "true",
    "'true'",
    "yes",
    "0",
    "5",
    "-1",
    "1.5",
    "2.0",
    "90000",
    "'10s'",
    "'80:80'",
    "a",
    "''",
    "[]",
    "[a, a]",
    "[1]",
    "{}",
    "{a: b}",
    "{a: {b: true}}",
];

#[test]
#[ignore = "asks the client two thousand times"]
fn every_key_takes_what_the_client_takes() {
    let catalogue = Catalogue::load(None).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("own.yml");
    let (mut asked, mut refused, mut own_refusals) = (0, 0, 0);
    let mut wrong = Vec::new();
    for place in PLACES.lines().filter(|p| !p.is_empty()) {
        for value in VALUES {
            let text = match place.starts_with("services") {
                true => place.replace('@', value),
                false => format!(
                    "{}\nservices: {{w: {{image: a}}}}",
                    place.replace('@', value)
                ),
            };
            std::fs::write(&file, format!("{text}\n")).expect("a file");
            let refusal = find_client_refusal(&file);
            let findings = lint_file(&catalogue, &file);
            let own: Vec<&str> = findings
                .iter()
                .filter(|f| f.severity == LintSeverity::Error)
                .map(|f| f.message.as_str())
                .filter(|m| !is_one_of(m, &LATER_THAN_THE_CLIENT))
                .collect();
            asked += 1;
            if refusal.is_none() && own.iter().any(|m| is_one_of(m, &NOT_FOR_STACKS)) {
                own_refusals += 1;
                continue;
            }
            refused += usize::from(refusal.is_some());
            if refusal.is_some() == own.is_empty() {
                wrong.push(format!(
                    "{text}: the client says {refusal:?}, matou {own:?}"
                ));
            }
        }
    }
    println!(
        "{asked} files, of which the client refuses {refused} and matou {own_refusals} more, of its own accord"
    );
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Copies a foreign file, with a value for each variable that it requires, and the files it names.
fn copy_foreign(from: &Path, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(from).unwrap_or_default();
    let text = make_binds_whole(&give_required_values(&text));
    let file = folder.join("own.yml");
    std::fs::write(&file, &text).expect("a copy");
    for line in text.lines() {
        let line = line.trim().trim_start_matches("- ").trim();
        let value = match line.split_once(':') {
            Some(("file" | "env_file" | "path", value)) => value,
            Some(_) => continue,
            None => line,
        };
        for name in value.trim().trim_matches(['[', ']']).split(',') {
            let name = name.split(" #").next().unwrap_or_default();
            let path = Path::new(name.trim().trim_matches(['"', '\'']));
            let plain = path.components().all(|c| {
                matches!(
                    c,
                    std::path::Component::Normal(_) | std::path::Component::CurDir
                )
            });
            let path = folder.join(path);
            if plain
                && !path.exists()
                && path
                    .parent()
                    .is_some_and(|p| std::fs::create_dir_all(p).is_ok())
            {
                let _ = std::fs::write(path, "A=1\n");
            }
        }
    }
    file
}

/// Makes the relative paths of bind mounts whole: matou refuses those of its own accord, and says no more.
fn make_binds_whole(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches([' ', '-']);
        let bare = bare.strip_prefix("source:").unwrap_or(bare);
        let path = bare.trim_start_matches([' ', '"', '\'']);
        let relative = path.starts_with("./")
            || path.starts_with("../")
            || path.starts_with("~/")
            || path.starts_with(".:");
        if relative && (path.contains(':') || line.contains("source:")) {
            let begin = line.len() - path.len();
            let rest = path.trim_start_matches(['.', '~', '/']);
            out.push_str(&format!("{}/srv/{rest}", &line[..begin]));
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Turns `${NAME:?why}` into `${NAME:-8080}`, so that both sides see a value.
fn give_required_values(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find('}').map_or(rest.len(), |e| e + 1);
        let variable = &rest[..end];
        match variable.find(":?").or_else(|| variable.find('?')) {
            Some(mark) if !variable.contains('\n') && !variable[..mark].contains('-') => {
                out.push_str(&variable[..mark]);
                out.push_str(":-8080}");
            }
            _ => out.push_str(variable),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn is_one_of(message: &str, parts: &[&str]) -> bool {
    parts.iter().any(|p| message.contains(p))
}

/// What came of a folder of foreign files.
#[derive(Default)]
struct Tally {
    agreed: usize,
    both_refuse: usize,
    refused_later: usize,
    missing_files: usize,
    own_refusals: usize,
    slowest: Duration,
    wrong: Vec<String>,
}

fn is_later_than_the_client(message: &str) -> bool {
    is_one_of(message, &LATER_THAN_THE_CLIENT) && !is_one_of(message, &FORBIDDEN)
}

impl Tally {
    fn count_file(&mut self, name: &str, refusal: Option<&str>, findings: &[LintFinding]) {
        let errors = findings
            .iter()
            .filter(|f| f.severity == LintSeverity::Error);
        let (later, own): (Vec<&LintFinding>, Vec<&LintFinding>) =
            errors.partition(|f| is_later_than_the_client(&f.message));
        let said = |all: &[&LintFinding]| {
            let all = all
                .iter()
                .map(|f| format!("\n    matou: {}: {}", f.line, f.message));
            all.collect::<String>()
        };
        if refusal.is_some_and(|e| is_one_of(e, &MISSING_FILE)) {
            self.missing_files += 1;
        } else if own.iter().any(|f| is_one_of(&f.message, &NOT_FOR_STACKS)) {
            self.own_refusals += 1;
            println!("own refusal: {name}{}", said(&own));
        } else if refusal.is_some() == own.is_empty() {
            self.wrong
                .push(format!("{name}\n    client: {refusal:?}{}", said(&own)));
        } else {
            self.agreed += 1;
            if let Some(client) = refusal {
                self.both_refuse += 1;
                println!("both refuse: {name}\n    client: {client}{}", said(&own));
            } else if !later.is_empty() {
                self.refused_later += 1;
                println!("refused later: {name}{}", said(&later));
            }
        }
    }
}

/// What the client says where a file beside the stack file is not there.
const MISSING_FILE: [&str; 4] = [
    "no such file",
    "env file",
    "is a directory",
    "not a directory",
];

#[test]
#[ignore = "takes a folder of foreign files: MATOU_STACK_FILES=…"]
fn foreign_files_are_refused_and_taken_as_the_client_does() {
    let folder = std::env::var_os("MATOU_STACK_FILES").expect("MATOU_STACK_FILES");
    let catalogue = Catalogue::load(None).unwrap();
    let mut tally = Tally::default();
    let files = list_files(Path::new(&folder));
    for from in &files {
        let name = from.file_name().unwrap().to_string_lossy().into_owned();
        let temp = tempfile::tempdir().unwrap();
        let file = copy_foreign(from, temp.path());
        let begun = Instant::now();
        let findings = std::panic::catch_unwind(|| lint_file(&catalogue, &file));
        tally.slowest = tally.slowest.max(begun.elapsed());
        let findings = findings.unwrap_or_else(|_| panic!("{name}: matou panics"));
        tally.count_file(&name, find_client_refusal(&file).as_deref(), &findings);
    }
    let counted = tally.agreed + tally.wrong.len();
    let percent = 100.0 * tally.agreed as f64 / counted.max(1) as f64;
    println!("disagreements:\n{}", tally.wrong.join("\n"));
    println!(
        "{} files; {counted} counted, of which {percent:.1} % agree; both refuse {}",
        files.len(),
        tally.both_refuse
    );
    println!(
        "{} are taken by the client, and matou says they are refused later",
        tally.refused_later
    );
    println!(
        "left out: {} for files that are missing, {} that matou refuses of its own accord",
        tally.missing_files, tally.own_refusals
    );
    println!("the slowest took {:?}", tally.slowest);
    assert!(tally.slowest < SLOWEST, "{:?}", tally.slowest);
    assert!(percent >= LEAST_AGREEMENT, "{percent:.1} %");
}
