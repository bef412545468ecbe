//! Renders a stack file into the compose file for `docker stack deploy`.

use crate::translate_stack_text;
use std::collections::BTreeMap;

use matou_base::text::InvalidInput;
use matou_i18n::tr;
use secrecy::{ExposeSecret as _, SecretString};
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::app_domains::AppDomains;
use super::compose_version::set_file_version;
use super::compose_yaml::{ComposeDocument, read_loose_compose, write_compose};
use super::edge_settings::EdgeSettings;
use super::environment;
use super::error::MissingVariable;
use super::extension::{HttpCheck, LoginRequest, LoginSpec, RouteLabels};
use super::file_variables::{FilledVariables, fill_variables};
use super::files;
use super::interpolate::{InterpolationError, escape_dollars, interpolate};
use super::line_index::LineIndex;
use super::lint::{
    LintFinding, LintSeverity, MOST_PORTS, TOO_MANY_PORTS, lint_compose, list_references,
    parse_published_ports, section_entries,
};
use super::name_labels::NameLabels;
use super::networks::{
    count_own_networks, external_networks_by_key, list_external_files, list_external_networks,
};
use super::refusals::add_refusals;
use super::rendered::{AppLogin, GUARD_USER, NeededSecret, RenderedService, RenderedStack};
use super::requirements;
use super::safety;
use super::scheduled_jobs::{add_job_labels, check_jobs};
use super::stack_file::StackFile;
use super::traefik1::Labels;
use super::volumes;
use super::{AppFile, ExtraNames, StackError, edge_labels, labels, traefik_check, traefik1};
use matou_config::{
    Config, EdgeConfig, MailConfig, MailSecurity, StorageConfig, find_nearest_name,
};
use matou_model::{BUDGET_LABEL, DiskBudget};

/// Label on each service with the hash of what was deployed.
pub const HASH_LABEL: &str = "org.matou.hash";

/// Most text of all services together with what they refer to, bytes.
const MOST_HASHED: usize = 64 << 20;

/// What a stack is rendered for.
#[derive(Debug, Clone)]
pub struct RenderTarget<'a> {
    /// Where volumes are.
    pub storage: &'a StorageConfig,
    /// Entry points and the certificate resolver.
    pub edge: &'a EdgeConfig,
    /// The server that mail is sent through.
    pub mail: Option<&'a MailConfig>,
    /// Its password, where a stack is rendered to be deployed.
    pub mail_password: Option<SecretString>,
    /// The version in use of each generated secret; the first where there is none.
    pub secrets: BTreeMap<String, u32>,
    /// What the application's requests must pass at the edge.
    pub edge_settings: EdgeSettings,
    /// Names beside the main one.
    pub domains: AppDomains,
    /// Images in the place of those of the file, by service.
    pub images: BTreeMap<String, String>,
    /// How much room the volumes may take.
    pub budget: Option<DiskBudget>,
    /// Where every service runs, in the form that [`super::place_constraint`] takes.
    pub place: Option<String>,
    /// Files that were written from the fleet, by their paths beside the stack file.
    pub files: BTreeMap<String, SecretString>,
}

impl<'a> RenderTarget<'a> {
    /// Makes the target of an application, from its file.
    pub fn for_app(config: &'a Config, file: &AppFile) -> Self {
        Self {
            edge_settings: file.edge.clone(),
            domains: file.domains.clone(),
            images: file.images.clone(),
            place: file.place.clone(),
            // A wrong one is told where the application is deployed.
            budget: file.disk_budget().unwrap_or_default(),
            ..Self::for_fleet(config)
        }
    }

    /// The fleet of a configuration, for an application that has no secrets yet.
    pub fn for_fleet(config: &'a Config) -> Self {
        Self {
            storage: &config.storage,
            edge: &config.edge,
            mail: config.mail.as_ref(),
            mail_password: None,
            secrets: BTreeMap::new(),
            edge_settings: EdgeSettings::default(),
            domains: AppDomains::default(),
            images: BTreeMap::new(),
            place: None,
            budget: None,
            files: BTreeMap::new(),
        }
    }
}

/// Fills the variables of a stack file in, and takes out what is matou's own in it. Returns what is
/// wrong with it beside it.
fn fill_stack_file(
    stack: &StackFile,
    document: ComposeDocument,
    places: &LineIndex,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Mapping, FilledVariables, Vec<LintFinding>), StackError> {
    let finding = |severity: LintSeverity, line: usize, message: String| LintFinding {
        severity,
        file: stack.file.clone(),
        line,
        message,
    };
    let Value::Mapping(mut file) = document.value else {
        return Err(stack.error_at(1, tr!("a stack file begins with `services:`").to_owned()));
    };
    file.retain(|key, _| !key.as_str().is_some_and(|k| k.starts_with("x-")));
    let filled =
        fill_variables(&mut file, places, lookup).map_err(|(l, m)| stack.error_at(l, m))?;
    drop_empty_names(&mut file);
    let (error, warning) = (LintSeverity::Error, LintSeverity::Warning);
    let mut findings = Vec::new();
    for problem in document.problems {
        findings.push(finding(error, problem.line, problem.message));
    }
    if let Some(line) = document.second_document {
        let message =
            tr!("the engine reads the first document alone: what follows `---` is left out");
        findings.push(finding(warning, line, message.into()));
    }
    for missing in &filled.missing {
        let line = missing.line.unwrap_or(1);
        findings.push(finding(error, line, missing.to_string()));
    }
    for (line, message) in &filled.problems {
        findings.push(finding(error, *line, message.clone()));
    }
    for (line, unset) in &filled.unset_ports {
        let names = unset.join(", ");
        let message = tr!(
            "{names} has no value: the engine chooses the published port; give one, as in {}=8080",
            unset.first().map_or("PORT", String::as_str)
        );
        findings.push(finding(warning, *line, message));
    }
    Ok((file, filled, findings))
}

/// Takes out names without a value, as of `name: ${NETWORK}`: Docker names by the key then.
fn drop_empty_names(file: &mut Mapping) {
    for section in ["networks", "volumes", "configs", "secrets"] {
        let entries = file.get_mut(section).and_then(Value::as_mapping_mut);
        for entry in entries.into_iter().flat_map(|e| e.values_mut()) {
            if let Value::Mapping(entry) = entry
                && entry.get("name").and_then(Value::as_str) == Some("")
            {
                entry.remove("name");
            }
        }
    }
}

/// Returns the value of a variable: the given one, the stack's default, or one that all stacks have.
fn find_variable(
    stack: &StackFile,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
    name: &str,
) -> Option<String> {
    let declared = || {
        let declared = stack.extension.variables.iter().find(|v| v.name == name)?;
        declared.default.clone()
    };
    variables
        .get(name)
        .cloned()
        .or_else(declared)
        .or_else(|| built_in_variable(name, app, target))
}

fn render_login(
    stack: &StackFile,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
    main: Option<&String>,
) -> Result<Option<AppLogin>, StackError> {
    let users = target
        .edge_settings
        .basic_auth
        .as_deref()
        .unwrap_or_default();
    let guard = format!("{GUARD_USER}:");
    let is_guarded = stack.extension.guard && users.iter().any(|u| u.starts_with(&guard));
    let spec = match &stack.extension.login {
        Some(spec) => spec,
        None if is_guarded => &LoginSpec::default(),
        None => return Ok(None),
    };
    let lookup = |name: &str| find_variable(stack, app, variables, target, name);
    let fill =
        |text: &str| interpolate(text, &lookup).map_err(|e| locate_interpolation_error(stack, &e));
    let fill_all = |values: &BTreeMap<String, String>| {
        let filled = values.iter().map(|(k, v)| Ok((k.clone(), fill(v)?)));
        filled.collect::<Result<BTreeMap<_, _>, StackError>>()
    };
    let request = match &spec.request {
        Some(request) => Some(LoginRequest {
            path: fill(&request.path)?,
            form: fill_all(&request.form)?,
            json: fill_all(&request.json)?,
            headers: fill_all(&request.headers)?,
            ..request.clone()
        }),
        None => None,
    };
    Ok(Some(AppLogin {
        url: match main {
            Some(domain) => format!("https://{domain}{}", fill(&spec.path)?),
            None => String::new(),
        },
        user: fill(&spec.user)?,
        secret: spec.secret.clone(),
        note: fill(translate_stack_text(&spec.note))?,
        is_guarded,
        request,
    }))
}

/// A stack file that was looked through, and rendered as far as that goes.
pub(super) struct InspectedStack {
    /// Also of a file that can't be rendered.
    pub findings: Vec<LintFinding>,
    /// Variables without which nothing is deployed.
    pub missing: Vec<MissingVariable>,
    /// Its findings are those above.
    pub rendered: Result<RenderedStack, StackError>,
}

/// Renders a stack file that lacks nothing.
pub(super) fn render_stack_file(
    stack: &StackFile,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
) -> Result<RenderedStack, StackError> {
    let inspected = inspect_stack_file(stack, app, variables, target)?;
    match StackError::from_missing(&stack.file, &inspected.missing) {
        Some(missing) => Err(missing),
        None => inspected.rendered,
    }
}

/// Looks through a stack file.
///
/// # Errors
/// It can't be read at all.
pub(super) fn inspect_stack_file(
    stack: &StackFile,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
) -> Result<InspectedStack, StackError> {
    require_new_app_name(app)?;
    let (document, text) =
        read_loose_compose(&stack.text).map_err(|e| stack.error_at(e.line, e.message))?;
    let mut missing = check_variables(stack, &document.value, variables)?;
    let places = LineIndex::parse(&text);
    let lookup = |name: &str| find_variable(stack, app, variables, target, name);
    let (file, filled, mut findings) = fill_stack_file(stack, document, &places, &lookup)?;
    for variable in filled.missing {
        if missing.iter().all(|m| m.name != variable.name) {
            missing.push(variable);
        }
    }
    findings.extend(lint_compose(
        &stack.file,
        &places,
        &file,
        &stack.known_images,
    ));
    add_refusals(stack, app, &places, &file, &mut findings);
    findings.sort_by_key(|f| (f.line, f.severity));
    let mut out = RenderedStack::default();
    let mut faults = render_filled_file(stack, app, variables, target, file, &places, &mut out);
    findings.append(&mut out.findings);
    // First, as nothing is deployed for them. What stands in the place of a missing variable may be at
    // fault.
    for fault in faults.iter().rev().filter(|_| missing.is_empty()) {
        if let StackError::At { line, message, .. } = fault {
            let finding = LintFinding {
                severity: LintSeverity::Error,
                file: stack.file.clone(),
                line: *line,
                message: message.clone(),
            };
            findings.insert(0, finding);
        }
    }
    let rendered = match faults.is_empty() {
        true => {
            out.findings.clone_from(&findings);
            Ok(out)
        }
        false => Err(faults.swap_remove(0)),
    };
    Ok(InspectedStack {
        findings,
        missing,
        rendered,
    })
}

/// Renders a file whose variables are filled in, as far as that goes. Returns why it can't be deployed.
/// Findings are those that rendering makes itself.
fn render_filled_file(
    stack: &StackFile,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
    mut file: Mapping,
    places: &LineIndex,
    out: &mut RenderedStack,
) -> Vec<StackError> {
    let mut faults = Vec::new();
    let at = |path: &[&str], message: String| StackError::At {
        file: stack.file.clone(),
        line: places.line_of(path),
        message,
    };
    let said = |(place, message): safety::LocatedMessage| {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        (places.line_of(&place), message)
    };
    if let Err(e) = safety::check_names_and_mounts(&stack.extension, &file, target.storage) {
        let (line, message) = said(e);
        let file = stack.file.clone();
        faults.push(StackError::At {
            file,
            line,
            message,
        });
    }
    // Built-in stacks are known, and need no warnings.
    if !matches!(stack.folder, files::StackFolder::BuiltIn(_)) {
        for (line, message) in safety::list_node_access(&file, target.storage)
            .into_iter()
            .map(said)
        {
            out.findings.push(LintFinding {
                severity: LintSeverity::Warning,
                file: stack.file.clone(),
                line,
                message,
            });
        }
    }
    let none = Mapping::new();
    let services = file.get("services").and_then(Value::as_mapping);
    if let Err(e) = check_jobs(&stack.extension.jobs, services.unwrap_or(&none)) {
        faults.push(at(&["x-matou", "jobs"], e.to_string()));
    }
    set_file_version(&mut file);
    if stack.extension.mail {
        fill_mail_secret(&mut file, target.mail_password.as_ref());
    }
    match files::externalize_files(app, &mut file, &stack.folder, &target.files) {
        Ok(carried) => (out.configs, out.file_secrets) = (carried.configs, carried.secrets),
        Err((kind, name, message)) => {
            let text = tr!("{name} of {kind}: {message}");
            faults.push(at(&[&kind, &name, "file"], text));
        }
    }
    match name_generated_secrets(stack, app, &mut file, target) {
        Ok(named) => out.secrets = named,
        Err((name, message)) => faults.push(at(&["secrets", &name], message)),
    }
    note_external_files(&file, out);
    out.adopted.clone_from(&stack.extension.adopted);
    out.volumes = match &out.adopted {
        Some(_) => volumes::list_volumes(app, &file),
        None => volumes::render_volumes(app, &mut file, target.storage),
    };
    out.notes.append(&mut out.volumes.notes);
    if !keeps_routes(stack) {
        out.notes
            .extend(edge_labels::attach_edge_network(&mut file, target.edge));
    }
    out.networks = list_external_networks(&file);
    out.own_networks = count_own_networks(&file);
    out.bind_sources = list_bind_sources(&file);
    // What has an extension is a file.
    let folders = out.bind_sources.iter().filter(|p| p.extension().is_none());
    out.binds = folders.cloned().collect();
    let environments = resolve_environments(stack, app, &mut file, variables, target, places, out);
    faults.extend(environments.err());
    match find_extra_names(stack, app, &file, variables, target) {
        Ok(names) => out.extra_names = names,
        Err(e) => faults.push(e),
    }
    let services = render_services(stack, app, &mut file, target, places, out);
    faults.extend(services.err());
    out.check = (!out.domains.is_empty()).then(|| expected_check(stack, target));
    match render_login(stack, app, variables, target, out.main_domain()) {
        Ok(login) => out.login = login,
        Err(e) => faults.push(e),
    }
    out.troubles.clone_from(&stack.extension.troubles);
    out.yaml = write_compose(&Value::Mapping(file));
    faults
}

/// Gives every service the variables of its `env_file`, and those that the file names without a value.
fn resolve_environments(
    stack: &StackFile,
    app: &str,
    file: &mut Mapping,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
    places: &LineIndex,
    out: &mut RenderedStack,
) -> Result<(), StackError> {
    let any = |name: &str| find_variable(stack, app, variables, target, name);
    let given = |name: &str| variables.get(name).cloned();
    let environment = environment::StackVariables {
        any: &any,
        given: &given,
    };
    let services = file.get_mut("services").and_then(Value::as_mapping_mut);
    for (name, service) in services.into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        let Value::Mapping(service) = service else {
            continue;
        };
        let notes = environment
            .resolve_service(name, service, &stack.folder)
            .map_err(|e| StackError::At {
                file: stack.file.clone(),
                line: places.line_of(&["services", name, "env_file"]),
                message: e.to_string(),
            })?;
        out.notes.extend(notes);
    }
    Ok(())
}

/// Returns the check of a stack. Where the edge asks for a password, that it does is a good answer.
fn expected_check(stack: &StackFile, target: &RenderTarget<'_>) -> HttpCheck {
    let mut check = stack.extension.check.clone().unwrap_or_default();
    let users = target.edge_settings.basic_auth.as_ref();
    if users.is_some_and(|users| !users.is_empty()) && !check.status.contains(&401) {
        check.status.push(401);
    }
    check
}

/// Returns a variable that every stack has without declaring it.
fn built_in_variable(name: &str, app: &str, target: &RenderTarget<'_>) -> Option<String> {
    let edge = target.edge;
    if let Some(mail) = name.strip_prefix("MAIL_") {
        return mail_variable(mail, target.mail?);
    }
    Some(match name {
        "APP" => app.to_owned(),
        // What the edge serves.
        "SCHEME" => "https".to_owned(),
        "RESOLVER" => edge.resolver.clone(),
        "ACME_EMAIL" => edge.email.clone()?,
        _ => return None,
    })
}

/// Returns a variable of `[mail]`, by its name without `MAIL_`. What does not hold is empty, so that
/// `${MAIL_TLS:+ssl}` and `${MAIL_TLS:-false}` say it as an application wants it.
fn mail_variable(name: &str, mail: &MailConfig) -> Option<String> {
    let when = |holds: bool| if holds { "true" } else { "" }.to_owned();
    Some(match name {
        "HOST" => mail.server.clone(),
        "PORT" => mail.port.to_string(),
        "USER" => mail.user.clone().unwrap_or_default(),
        "SENDER" => mail.sender.clone(),
        "SENDER_NAME" => mail.sender.split('@').next().unwrap_or_default().to_owned(),
        "DOMAIN" => mail
            .sender
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_owned(),
        "ON" => "true".to_owned(),
        "SECURITY" => mail.security.as_str().to_owned(),
        "TLS" => when(mail.security == MailSecurity::Tls),
        "STARTTLS" => when(mail.security == MailSecurity::Starttls),
        _ => return None,
    })
}

/// Names that [`built_in_variable`] knows.
const BUILT_IN_VARIABLES: [&str; 14] = [
    "APP",
    "SCHEME",
    "RESOLVER",
    "ACME_EMAIL",
    "MAIL_HOST",
    "MAIL_PORT",
    "MAIL_USER",
    "MAIL_SENDER",
    "MAIL_SENDER_NAME",
    "MAIL_DOMAIN",
    "MAIL_ON",
    "MAIL_SECURITY",
    "MAIL_TLS",
    "MAIL_STARTTLS",
];

/// The secret with the password of `[mail]`, in a stack with `mail: true`.
const MAIL_SECRET: &str = "mail_password";

/// Gives the stack the password of `[mail]` as the content of its secret; an empty line where there is
/// none, as a secret of Swarm can't be empty.
fn fill_mail_secret(file: &mut Mapping, password: Option<&SecretString>) {
    let section = file.get_mut("secrets").and_then(|s| s.get_mut(MAIL_SECRET));
    let Some(Value::Mapping(entry)) = section else {
        return;
    };
    entry.remove("external");
    let password = password.map_or("\n", |p| p.expose_secret());
    entry.insert("content".into(), password.into());
}

/// Names the secrets that matou generates after this application and version. Returns them.
fn name_generated_secrets(
    stack: &StackFile,
    app: &str,
    file: &mut Mapping,
    target: &RenderTarget<'_>,
) -> Result<Vec<NeededSecret>, (String, String)> {
    let mut needed = Vec::new();
    for spec in &stack.extension.secrets {
        let section = file
            .get_mut("secrets")
            .and_then(|s| s.get_mut(spec.name.as_str()));
        let Some(Value::Mapping(entry)) = section else {
            let message = tr!(
                "x-matou makes the secret {0}: declare it under `secrets:` as `{0}: {{external: true}}`",
                spec.name
            );
            return Err((spec.name.clone(), message));
        };
        let version = target.secrets.get(&spec.name).copied().unwrap_or(1);
        let swarm_name = format!("{app}_{}_v{version}", spec.name);
        entry.insert("external".into(), true.into());
        entry.insert("name".into(), swarm_name.as_str().into());
        needed.push(NeededSecret {
            spec: spec.clone(),
            version,
            swarm_name,
        });
    }
    Ok(needed)
}

/// Notes the configs and secrets that services use and that matou does not make.
fn note_external_files(file: &Mapping, out: &mut RenderedStack) {
    let mut configs = list_external_files(file, "configs");
    configs.retain(|name| out.configs.iter().all(|c| c.name != *name));
    let mut secrets = list_external_files(file, "secrets");
    secrets.retain(|name| {
        let is_made = out.secrets.iter().any(|s| s.swarm_name == *name);
        !is_made && out.file_secrets.iter().all(|s| s.name != *name)
    });
    (out.external_configs, out.external_secrets) = (configs, secrets);
}

/// Lists the absolute paths of nodes that services mount. A path with a file's extension is taken
/// for a file, and left out.
fn list_bind_sources(file: &Mapping) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for (_, service) in section_entries(file, "services") {
        let volumes = service.get("volumes").and_then(Value::as_sequence);
        for volume in volumes.into_iter().flatten() {
            let source = match volume {
                Value::String(short) => short.split(':').next(),
                long if long.get("type").and_then(Value::as_str) == Some("bind") => {
                    long.get("source").and_then(Value::as_str)
                }
                _ => None,
            };
            let path = source.filter(|s| s.starts_with('/') && !s.contains(['$', '{']));
            found.extend(path.map(std::path::PathBuf::from));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn require_new_app_name(app: &str) -> Result<(), StackError> {
    Ok(super::app_name::check_new_app_name(app)?)
}

/// Checks the given variables. A misspelt name is an error: else the default would be deployed.
/// Returns those that are missing.
fn check_variables(
    stack: &StackFile,
    file: &Value,
    given: &BTreeMap<String, String>,
) -> Result<Vec<MissingVariable>, StackError> {
    let mut missing = Vec::new();
    let declared = || stack.extension.variables.iter().map(|v| v.name.as_str());
    for name in given.keys() {
        let known = declared().any(|d| d == name) || BUILT_IN_VARIABLES.contains(&name.as_str());
        let is_used = mentions_variable(&stack.text, name)
            || environment::asks_for_variable(file, &stack.folder, name);
        if !known && !is_used {
            let hint = find_nearest_name(name, declared())
                .map_or_else(String::new, |near| tr!("; did you mean {near}?"));
            return Err(InvalidInput::new(tr!(
                "the stack {} has no variable {name}{hint}",
                stack.name
            ))
            .into());
        }
    }
    for variable in &stack.extension.variables {
        let is_missing = variable.required
            && variable.default.is_none()
            && given.get(&variable.name).is_none_or(String::is_empty);
        if is_missing {
            missing.push(MissingVariable {
                name: variable.name.clone(),
                message: translate_stack_text(&variable.help).to_owned(),
                line: None,
            });
            continue;
        }
        if let Some(value) = given.get(&variable.name) {
            variable.check_value(value)?;
        }
    }
    Ok(missing)
}

/// Whether `$NAME` or `${NAME` stands in the text.
fn mentions_variable(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|after| !after.starts_with(part_of_name))
    })
}

/// An error in a text of `x-matou`, which has no place in the index of the file.
fn locate_interpolation_error(stack: &StackFile, error: &InterpolationError) -> StackError {
    let needle = match error {
        InterpolationError::Required { name, .. } => format!("${{{name}"),
        InterpolationError::Invalid(what) => what.clone(),
        InterpolationError::TooLong | InterpolationError::TooDeep => "$".to_owned(),
    };
    StackError::at_first_occurrence(&stack.file, &stack.text, &needle, error.to_string())
}

/// Whether the labels are for another Traefik than matou's edge.
fn keeps_routes(stack: &StackFile) -> bool {
    let adopted = stack.extension.adopted.as_ref();
    adopted.is_some_and(|a| a.routes == RouteLabels::Keep)
}

/// Finds the names of the application beside its main one.
fn find_extra_names(
    stack: &StackFile,
    app: &str,
    file: &Mapping,
    variables: &BTreeMap<String, String>,
    target: &RenderTarget<'_>,
) -> Result<Option<ExtraNames>, StackError> {
    let hosts = section_entries(file, "services")
        .filter_map(|(_, service)| service.as_mapping())
        .flat_map(|service| matou_model::domains_from_labels(&labels::deploy_labels(service)))
        .collect();
    let variable = find_variable(stack, app, variables, target, "DOMAIN");
    let names = target.domains.resolve(variable.as_deref(), &hosts);
    names.map_err(|e| StackError::Other(format!("{}: {e}", AppFile::name(app))))
}

/// Gives each service its labels, and adds it to the rendered stack's list.
fn render_services(
    stack: &StackFile,
    app: &str,
    file: &mut Mapping,
    target: &RenderTarget<'_>,
    places: &LineIndex,
    out: &mut RenderedStack,
) -> Result<(), StackError> {
    // The hash of a service includes what it refers to: a new version of a secret, or new content
    // of a config, changes it.
    let declared: Vec<(&str, Mapping)> = ["configs", "secrets", "networks"]
        .into_iter()
        .filter_map(|kind| Some((kind, file.get(kind)?.as_mapping()?.clone())))
        .collect();
    let externals = external_networks_by_key(file);
    let routes = edge_labels::EdgeRoutes::of_file(file, target.edge);
    let label_places = traefik_check::LabelPlaces::of_file(file, places);
    let mut hashed = 0;
    let extra_names = out.extra_names.clone();
    let mut names = extra_names.as_ref().map(|n| NameLabels::new(app, n));
    let Some(Value::Mapping(services)) = file.get_mut("services") else {
        return Ok(());
    };
    let backends = labels::backends_of_services(services, app);
    for (name, service) in services {
        let name = name.as_str().unwrap_or_default().to_owned();
        let at = |path: &[&str], message: String| StackError::At {
            file: stack.file.clone(),
            line: places.line_of(path),
            message,
        };
        let Value::Mapping(service) = service else {
            continue;
        };
        if let Some(image) = target.images.get(&name) {
            service.insert("image".into(), image.as_str().into());
        }
        if let Some(place) = &target.place {
            requirements::set_place_constraint(service, &requirements::place_constraint(place));
        }
        // Docker interpolates labels once more, so they are compared without its escapes.
        let plain = |labels: Labels| -> Labels {
            labels
                .into_iter()
                .map(|(k, v)| (k, v.replace("$$", "$")))
                .collect()
        };
        let id = format!("{app}-{name}");
        let old = plain(labels::deploy_labels(service));
        let path = ["services", name.as_str(), "deploy", "labels"];
        let router = traefik1::RouterTarget {
            id: &id,
            resolver: &target.edge.resolver,
            backends: &backends,
        };
        let mut labels = match keeps_routes(stack) {
            true => old,
            false => {
                let migrated =
                    traefik1::migrate_labels(&old, router).map_err(|e| at(&path, e.to_string()))?;
                if old.keys().any(|l| traefik1::is_traefik1_label(l)) {
                    out.notes.push(tr!(
                        "the labels of {name} are of Traefik 1, and are deployed as those of Traefik 3"
                    ));
                }
                out.notes.extend(migrated.notes);
                let mut labels = migrated.labels;
                out.notes.extend(routes.fit_labels(&name, &mut labels));
                // Its rules are known to work, as Traefik 2 reads them.
                if stack.extension.adopted.is_some() {
                    out.notes
                        .extend(routes.mark_older_rules(&name, &mut labels));
                }
                labels
            }
        };
        target.edge_settings.apply_to_labels(app, &mut labels);
        if let Some(names) = &mut names {
            names
                .extend(&mut labels)
                .map_err(|e| at(&path, e.to_string()))?;
        }
        add_job_labels(&stack.extension.jobs, &name, &mut labels);
        if let Some(budget) = target.budget.and_then(|b| serde_json::to_string(&b).ok()) {
            labels.insert(BUDGET_LABEL.to_owned(), budget);
        }
        out.domains
            .extend(matou_model::domains_from_labels(&labels));
        // Of a list with a variable that has no value.
        labels.remove("");
        let escaped = labels
            .iter()
            .map(|(k, v)| (k.clone(), escape_dollars(v)))
            .collect();
        labels::set_deploy_labels(service, &escaped);

        let mut text = serde_yaml::to_string(service)
            .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
        for (kind, section) in &declared {
            for (used, _) in list_references(service.get(*kind)) {
                let entry = section.get(used).unwrap_or(&Value::Null);
                text.push_str(&serde_yaml::to_string(entry).unwrap_or_default());
            }
        }
        hashed += text.len();
        if hashed > MOST_HASHED {
            let message = tr!("its services refer to more than {} MiB", MOST_HASHED >> 20);
            return Err(at(&["services", &name], message));
        }
        let digest = Sha256::digest(text);
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let known = out.adopted.as_ref().and_then(|a| a.services.get(&name));
        let as_adopted = known == Some(&hash);
        if !as_adopted {
            let mut stamped = escaped.clone();
            stamped.insert(HASH_LABEL.into(), hash.clone());
            labels::set_deploy_labels(service, &stamped);
        }

        let deploy = |key: &str| service.get("deploy").and_then(|d| d.get(key));
        let mode = deploy("mode").and_then(Value::as_str).unwrap_or_default();
        let global = matches!(mode, "global" | "global-job");
        let job = mode.ends_with("-job");
        let replicas = deploy("replicas").and_then(Value::as_u64).unwrap_or(1);
        let ports = service.get("ports").and_then(Value::as_sequence);
        for port in ports.into_iter().flatten() {
            out.ports
                .extend(parse_published_ports(port).unwrap_or_default());
            if out.ports.len() > MOST_PORTS {
                return Err(at(&["services", &name, "ports"], TOO_MANY_PORTS.into()));
            }
        }
        out.services.push(RenderedService {
            image: labels::scalar_text(service.get("image").unwrap_or(&Value::Null)),
            replicas: (!global).then_some(replicas),
            job,
            requirements: requirements::service_requirements(service, &externals),
            hash,
            as_adopted,
            labels,
            environment: plain(environment::set_variables(service)),
            name,
        });
    }
    if let Some(names) = names {
        let file = AppFile::name(app);
        (names.finish()).map_err(|e| StackError::Other(format!("{file}: {e}")))?;
    }
    out.domains.sort();
    out.domains.dedup();
    if !keeps_routes(stack) {
        out.findings.extend(traefik_check::check_routes(
            &routes,
            &out.services,
            &label_places,
            &stack.file,
        ));
    }
    out.findings.sort_by_key(|f| (f.line, f.severity));
    Ok(())
}
