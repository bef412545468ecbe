//! docs/catalogue.md: one table of all stacks, from the catalogue itself and stacks/proven.toml.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use color_eyre::eyre::{OptionExt, Result, ensure};
use matou::config::Config;
use matou::stack::{
    Catalogue, CatalogueEntry, Dump, DumpEngine, Extension, GUARD_SECRET, GUARD_USER, RenderTarget,
    RenderedService, RenderedStack, Variable, VariableKind, interpolate,
};

use crate::claims::{Claim, ClaimKind, read_claims};
use crate::reference::escape_cell;

/// A fleet that stacks are rendered for: one node, volumes and edge as they are by default, no mail.
const FLEET: &str = "[[nodes]]\nname = \"m\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n";

/// The application's name for which they are rendered.
const APP: &str = "app";

/// Heads of the table.
const HEADS: [&str; 9] = [
    "stack",
    "kind",
    "what it is",
    "memory",
    "volumes",
    "mail",
    "log-in",
    "updated by",
    "proven",
];

/// Returns the whole page.
///
/// # Errors
/// A stack can't be rendered; it has no claim in stacks/proven.toml, or one about services that it does not have.
pub fn render_page() -> Result<String> {
    let config = Config::parse(FLEET, Path::new("/fleet/config.toml"))?;
    let target = RenderTarget::for_fleet(&config);
    let catalogue = Catalogue::load(None)?;
    let claims = read_claims()?;
    let mut entries = catalogue.list_entries();
    entries.sort_by(|a, b| (a.category, &a.name).cmp(&(b.category, &b.name)));
    let mut page = render_head(&claims);
    let _ = writeln!(page, "\n| {} |", HEADS.join(" | "));
    let _ = writeln!(page, "|{}", " --- |".repeat(HEADS.len()));
    for entry in &entries {
        let extension = catalogue.find_extension(&entry.name)?;
        let values = sample_variables(&extension.variables);
        let rendered = catalogue.render_stack(&entry.name, APP, &values, &target)?;
        let claim = claims
            .get(&entry.name)
            .ok_or_eyre(format!("stacks/proven.toml says nothing of {}", entry.name))?;
        check_claimed_services(claim, entry, &rendered)?;
        let mail = match extension.mail {
            true => "yes",
            false => "no",
        };
        let cells = [
            describe_name(entry),
            entry.category.as_str().to_owned(),
            entry.description.clone(),
            describe_memory(&rendered.services),
            describe_volumes(&extension, &rendered),
            mail.to_owned(),
            describe_login(&extension)?,
            describe_update(&extension),
            describe_claim(claim),
        ];
        let cells = cells.map(|cell| escape_cell(&cell).replace('\n', " "));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    Ok(page)
}

/// Returns what stands before the table: what its columns mean, and how many stacks were proven how.
fn render_head(claims: &BTreeMap<String, Claim>) -> String {
    let mut page = String::from(
        "# Catalogue\n\nMade by `cargo xtask catalogue` from the stacks themselves and `stacks/proven.toml`.\n\
         [applications.md](applications.md) says what a deploy does with them; `matou catalogue` lists their variables.\n\n\
         - **memory** is the sum of the limits of all tasks, with the variables as they are by default.\n\
         - **volumes**: behind them stands what is dumped before a backup, with its service.\n\
         - **mail**: whether it is given the server of `[mail]` in config.toml.\n\
         - **log-in**: path, user, and the command that shows the password. `APP` is the application's name; other\n  \
         words in capitals are variables of the stack. A guard is the edge's own password before an open installer.\n\
         - **updated by**: a new image, or what its stack says instead.\n\
         - **proven**: what was seen of it, and nothing more.\n",
    );
    for kind in ClaimKind::ALL {
        let count = claims.values().filter(|c| c.how == kind).count();
        let _ = writeln!(
            page,
            "  - *{}* ({count} of {}): {}.",
            kind.as_str(),
            claims.len(),
            kind.meaning()
        );
    }
    page
}

/// Returns values for the required variables, with which a stack can be rendered.
fn sample_variables(variables: &[Variable]) -> BTreeMap<String, String> {
    let needed = variables
        .iter()
        .filter(|v| v.required && v.default.is_none());
    needed
        .map(|v| {
            let value = match v.kind {
                VariableKind::Text => "example",
                VariableKind::Domain => "app.example.org",
                VariableKind::Email => "ops@example.org",
                VariableKind::Number => "1",
                VariableKind::Boolean => "true",
                VariableKind::Size => "256M",
            };
            (v.name.clone(), value.to_owned())
        })
        .collect()
}

/// Returns the product's name, which leads to its documentation, and the stack's.
fn describe_name(entry: &CatalogueEntry) -> String {
    match entry.homepage.as_str() {
        "" => format!("{} (`{}`)", entry.title, entry.name),
        homepage => format!("[{}]({homepage}) (`{}`)", entry.title, entry.name),
    }
}

/// Returns the memory that all tasks may take, and that of those on every node.
fn describe_memory(services: &[RenderedService]) -> String {
    let (mut fixed, mut on_each) = (0, 0);
    for service in services {
        let limit = service.requirements.memory_limit;
        match service.replicas {
            Some(tasks) => fixed += limit * tasks,
            None => on_each += limit,
        }
    }
    match on_each {
        0 => format_memory(fixed),
        _ => format!(
            "{}, and {} on each node",
            format_memory(fixed),
            format_memory(on_each)
        ),
    }
}

/// Bytes as people write them: `512 MiB`, `1.5 GiB`.
fn format_memory(bytes: u64) -> String {
    match bytes >> 20 {
        mib @ 0..1024 => format!("{mib} MiB"),
        mib if mib.is_multiple_of(1024) => format!("{} GiB", mib >> 10),
        mib => format!("{:.1} GiB", mib as f64 / 1024.0),
    }
}

/// Returns the volumes by their names in the file, and what is dumped.
fn describe_volumes(extension: &Extension, rendered: &RenderedStack) -> String {
    let prefix = format!("{APP}_");
    let names: Vec<&str> = rendered
        .volumes
        .named
        .iter()
        .map(|(name, _)| name.strip_prefix(&prefix).unwrap_or(name))
        .collect();
    let dumps: Vec<String> = extension.backup.dumps.iter().map(describe_dump).collect();
    match (names.as_slice(), dumps.as_slice()) {
        ([], _) => "none".to_owned(),
        (names, []) => names.join(", "),
        (names, dumps) => format!("{}; dumped: {}", names.join(", "), dumps.join(", ")),
    }
}

/// Returns what a dump is of.
fn describe_dump(dump: &Dump) -> String {
    let engine = match dump.engine {
        Some(DumpEngine::Mariadb) => "MariaDB",
        Some(DumpEngine::Mysql) => "MySQL",
        Some(DumpEngine::Postgresql) => "PostgreSQL",
        Some(DumpEngine::Mongodb) => "MongoDB",
        Some(DumpEngine::Sqlite) => "SQLite",
        None => return format!("`{}`, by a command of its own", dump.service),
    };
    format!("{engine} of `{}`", dump.service)
}

/// Returns how the operator logs in. A variable that has no value by default stands there by its name.
///
/// # Errors
/// A text of it can't be filled in.
fn describe_login(extension: &Extension) -> Result<String> {
    let lookup = |name: &str| find_default(&extension.variables, name);
    let fill = |text: &str| interpolate(text, &lookup);
    let mut parts = Vec::new();
    if extension.guard {
        parts.push(format!(
            "guard until it is installed: `{GUARD_USER}`, password by `matou secrets APP show {GUARD_SECRET}`"
        ));
    }
    if let Some(login) = &extension.login {
        let (path, user) = (fill(&login.path)?, fill(&login.user)?);
        // Where nobody has a name or a password, the front page is none to log in at.
        if !user.is_empty() || login.secret.is_some() || path.len() > 1 {
            let mut line = format!("`{path}`");
            if !user.is_empty() {
                let _ = write!(line, " as `{user}`");
            }
            if let Some(secret) = &login.secret {
                let _ = write!(line, ", password by `matou secrets APP show {secret}`");
            }
            parts.push(line);
        }
        parts.extend(Some(fill(&login.note)?).filter(|note| !note.is_empty()));
    } else if extension.variables.iter().any(|v| v.name == "USERS") {
        parts.push("whom `USERS` names, with their own passwords".to_owned());
    }
    Ok(match parts.as_slice() {
        [] => "none".to_owned(),
        parts => parts.join("; "),
    })
}

/// Returns a variable's default; its name where the operator has to give the value.
fn find_default(variables: &[Variable], name: &str) -> Option<String> {
    match variables.iter().find(|v| v.name == name) {
        Some(declared) if declared.default.is_some() || !declared.required => {
            declared.default.clone()
        }
        _ => Some(name.to_owned()),
    }
}

/// Returns how the code is updated.
fn describe_update(extension: &Extension) -> String {
    match &extension.update {
        Some(update) => update.how.clone(),
        None => "a new image".to_owned(),
    }
}

/// Checks that the services of a claim are those of its stack.
///
/// # Errors
/// Names the service that the stack does not have.
fn check_claimed_services(
    claim: &Claim,
    entry: &CatalogueEntry,
    rendered: &RenderedStack,
) -> Result<()> {
    for service in claim.stand_ins.iter().chain(&claim.not_run) {
        ensure!(
            rendered.services.iter().any(|s| s.name == *service),
            "stacks/proven.toml names the service {service} of {}, which has none of that name",
            entry.name
        );
    }
    Ok(())
}

/// Returns how a stack was proven, with the way to the test.
fn describe_claim(claim: &Claim) -> String {
    let how = claim.how.as_str();
    let mut cell = match &claim.by {
        Some(test) => format!("*[{how}](../{test})*"),
        None => format!("*{how}*"),
    };
    if !claim.what.is_empty() {
        let _ = write!(cell, ": {}", claim.what);
    }
    for (said, services) in [
        ("stand-ins for", &claim.stand_ins),
        ("not run:", &claim.not_run),
    ] {
        if !services.is_empty() {
            let named: Vec<String> = services.iter().map(|s| format!("`{s}`")).collect();
            let _ = write!(cell, "; {said} {}", named.join(", "));
        }
    }
    cell
}
