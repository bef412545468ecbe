//! The stacks that can be deployed: those built in, and those of the fleet folder, which add to
//! them or replace them.

use crate::translate_stack_text;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use include_dir::{Dir, include_dir};
use matou_i18n::tr;

use super::StackError;
use super::adopt::{FoundApp, draft_stack};
use super::compose_yaml::read_loose_compose;
use super::extension::{Category, Extension, RouteLabels, Variable};
use super::files::StackFolder;
use super::image_facts::KnownImages;
use super::line_index::LineIndex;
use super::lint::{LintFinding, LintSeverity};
use super::render::{InspectedStack, RenderTarget, inspect_stack_file, render_stack_file};
use super::rendered::RenderedStack;
use super::safety;
use super::stack_file::StackFile;
use matou_config::unknown_name;

static BUILT_IN_STACKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../stacks");

/// A stack of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct CatalogueEntry {
    /// Of its file, without `.yml`.
    pub name: String,
    /// The product's own name.
    pub title: String,
    /// What it is, in one line.
    pub description: String,
    /// Where the application is documented.
    pub homepage: String,
    /// The kind of application.
    pub category: Category,
    /// What the operator is asked for.
    pub variables: Vec<Variable>,
}

impl CatalogueEntry {
    fn for_stack(stack: &StackFile) -> Self {
        let mut extension = stack.extension.clone();
        for variable in &mut extension.variables {
            variable.help = translate_stack_text(&variable.help).to_owned();
        }
        Self {
            name: stack.name.clone(),
            title: match extension.title.as_str() {
                "" => stack.name.clone(),
                title => title.to_owned(),
            },
            description: translate_stack_text(&extension.description).to_owned(),
            homepage: extension.homepage,
            category: extension.category,
            variables: extension.variables,
        }
    }
}

/// What a stack says of a service's number of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptReplicas {
    /// The variable that holds it, as in `replicas: ${REPLICAS:-2}`.
    Variable(String),
    /// What is written there; `1` where nothing is.
    Written(String),
}

/// Finds variables without a type whose default says what they are: a form takes anything for them.
fn lint_variables(stack: &StackFile) -> Vec<LintFinding> {
    let untyped = stack.extension.variables.iter().filter_map(|variable| {
        let kind = variable.likely_kind()?;
        // `cpus` takes 0.5 too, for which there is no type.
        let of_processors = ["", "'", "\""].map(|q| format!("cpus: {q}${{{}", variable.name));
        let is_fraction = of_processors.iter().any(|t| stack.text.contains(t.as_str()));
        let place = stack.text.find(&format!("name: {}", variable.name))?;
        (!is_fraction).then(|| LintFinding {
            severity: LintSeverity::Warning,
            file: stack.file.clone(),
            line: stack.text[..place].matches('\n').count() + 1,
            message: tr!(
                "the variable {} has no type, and its default is {:?}: `type: {kind}` refuses what is none",
                variable.name,
                variable.default.as_deref().unwrap_or_default()
            ),
        })
    });
    untyped.collect()
}

/// Finds services for commands that the stack does not have, and a rename that says too little.
fn lint_command_services(stack: &StackFile, services: &[&str]) -> Vec<LintFinding> {
    let error = |key: &str, message: String| {
        let mut lines = stack.text.lines();
        let line = lines.position(|l| l.trim_start().starts_with(&format!("{key}:")));
        LintFinding {
            severity: LintSeverity::Error,
            file: stack.file.clone(),
            line: line.map_or(1, |at| at + 1),
            message: tr!("x-matou: {key}: {message}"),
        }
    };
    let mut found = Vec::new();
    let rename = stack.extension.rename.as_ref();
    if rename.is_some_and(|r| r.never.is_some() != r.command.is_empty()) {
        let message = tr!("says either a service and its command, or never: and why");
        found.push(error("rename", message.to_owned()));
    }
    let rename = rename.filter(|r| !r.command.is_empty());
    let named = [
        ("run", stack.extension.run.as_deref()),
        ("rename", rename.map(|r| r.service.as_str())),
    ];
    for (key, service) in named {
        // A stack that can't be rendered has other findings.
        let Some(service) = service.filter(|s| !services.is_empty() && !services.contains(s))
        else {
            continue;
        };
        let all = services.join(", ");
        found.push(error(
            key,
            tr!("names the service {service:?}, which the stack does not have; there are {all}"),
        ));
    }
    found
}

/// Returns the variable of a text that is one variable and nothing more: `${NAME}`, `${NAME:-1}`.
fn find_only_variable(text: &str) -> Option<String> {
    let inside = text.strip_prefix("${")?.strip_suffix('}')?;
    let end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let whole =
        matches!(rest.chars().next(), None | Some(':' | '-' | '?')) && !rest.contains(['}', '$']);
    (whole && !name.is_empty()).then(|| name.to_owned())
}

/// All stacks, by name.
#[derive(Debug, Clone)]
pub struct Catalogue {
    stacks: BTreeMap<String, StackFile>,
    known_images: KnownImages,
}

/// The stack of an application that ran without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The application's name.
    pub app: String,
    /// Name of its stack in the catalogue: the application's, or another where that is taken.
    pub stack: String,
    /// The stack file's text.
    pub text: String,
    /// Host names of its routers.
    pub domains: Vec<String>,
    /// What stands in the file by reference only, what becomes of labels that are migrated, and what else
    /// is to be known; a sentence each.
    pub notes: Vec<String>,
}

impl Catalogue {
    /// The built-in stacks and those in `stacks/` of the fleet folder; facts about images that are in
    /// `images.toml` there stand beside the built-in ones.
    ///
    /// # Errors
    /// File and line of what is wrong in a stack file, or in the facts.
    pub fn load(fleet_folder: Option<&Path>) -> Result<Self, StackError> {
        Self::load_shown(fleet_folder, &|path| path.display().to_string())
    }

    /// The same of a copy of the fleet folder, whose stack files are shown as those of a revision: `ID:stacks/NAME.yml`.
    ///
    /// # Errors
    /// As those of [`Catalogue::load`].
    pub fn load_revision(copy: &Path, revision: &str) -> Result<Self, StackError> {
        Self::load_shown(Some(copy), &|path| {
            let name = path.strip_prefix(copy).unwrap_or(path);
            format!("{revision}:{}", name.display())
        })
    }

    fn load_shown(
        fleet_folder: Option<&Path>,
        shown: &dyn Fn(&Path) -> String,
    ) -> Result<Self, StackError> {
        let mut stacks = BTreeMap::new();
        for file in BUILT_IN_STACKS.files() {
            let path = file.path();
            if path.extension().is_none_or(|e| e != "yml") {
                continue;
            }
            let text = file.contents_utf8().unwrap_or_default();
            insert_stack_file(
                &mut stacks,
                path,
                &format!("stacks/{}", path.display()),
                StackFolder::BuiltIn(&BUILT_IN_STACKS),
                text,
            )?;
        }
        let own = fleet_folder.map(|f| f.join("stacks"));
        for entry in own
            .iter()
            .filter_map(|d| std::fs::read_dir(d).ok())
            .flatten()
        {
            let path = entry
                .map_err(|e| StackError::Other(tr!("the stacks folder can't be read: {e}")))?
                .path();
            if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
                let text = read_stack_file(&path)?;
                let folder = StackFolder::Path(path.parent().unwrap_or(Path::new(".")).to_owned());
                let file = shown(&path);
                insert_stack_file(&mut stacks, &path, &file, folder, &text)?;
            }
        }
        let known_images = match &own {
            Some(own) => KnownImages::load(own)?,
            None => KnownImages::default(),
        };
        for stack in stacks.values_mut() {
            stack.known_images = known_images.clone();
        }
        Ok(Self {
            stacks,
            known_images,
        })
    }

    /// Lists the names of the stacks without reading them, sorted: for completions, which must not take
    /// long. A file that can't be read as a stack is among them.
    pub fn list_names(fleet_folder: Option<&Path>) -> BTreeSet<String> {
        let built_in = BUILT_IN_STACKS.files().map(|file| file.path().to_owned());
        let own = fleet_folder.and_then(|folder| std::fs::read_dir(folder.join("stacks")).ok());
        let own = own
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let stacks = built_in
            .chain(own)
            .filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"));
        stacks
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect()
    }

    /// Reads what one stack says in `x-matou`, and no other: a built-in one, one of the fleet folder, or the
    /// file of that path. `None` where it can't be read.
    pub fn read_one_extension(fleet_folder: Option<&Path>, stack: &str) -> Option<Extension> {
        let is_path = stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml");
        let read = |path: &Path| read_stack_file(path).ok();
        let text = match (is_path, fleet_folder) {
            (true, _) => read(Path::new(stack))?,
            (false, folder) => {
                let own = folder.map(|folder| folder.join("stacks"));
                let own = own.and_then(|own| {
                    let files = ["yml", "yaml"].map(|e| own.join(format!("{stack}.{e}")));
                    files.iter().find_map(|path| read(path))
                });
                let built_in = || BUILT_IN_STACKS.get_file(format!("{stack}.yml"));
                match own {
                    Some(own) => own,
                    None => built_in()?.contents_utf8()?.to_owned(),
                }
            }
        };
        let nowhere = StackFolder::Path(Path::new(".").to_owned());
        let file = StackFile::parse(stack, stack, nowhere, &text).ok()?;
        Some(file.extension)
    }

    /// Returns what is known of images.
    pub fn known_images(&self) -> &KnownImages {
        &self.known_images
    }

    /// What can be deployed, by name.
    pub fn list_entries(&self) -> Vec<CatalogueEntry> {
        self.stacks
            .values()
            .map(CatalogueEntry::for_stack)
            .collect()
    }

    /// Renders the compose file of a stack for an application of the name `app`. `stack` is a name
    /// of the catalogue or the path of a compose file.
    ///
    /// # Errors
    /// File and line; a variable or stack that does not exist, with the name nearest to it; the
    /// first finding that makes it impossible to deploy.
    pub fn render_stack(
        &self,
        stack: &str,
        app: &str,
        variables: &BTreeMap<String, String>,
        target: &RenderTarget<'_>,
    ) -> Result<RenderedStack, StackError> {
        let rendered = render_stack_file(&*self.find_stack(stack)?, app, variables, target)?;
        let error = |f: &&LintFinding| f.severity == LintSeverity::Error;
        match rendered.findings.iter().find(error) {
            None => Ok(rendered),
            Some(first) => Err(StackError::At {
                file: first.file.clone(),
                line: first.line,
                message: first.message.clone(),
            }),
        }
    }

    /// Returns file and line (counted from 1) of the entry of a stack to which keys and indices lead, or of
    /// the nearest one around it.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read.
    pub fn locate_entry(&self, stack: &str, path: &[&str]) -> Result<(String, usize), StackError> {
        let stack = self.find_stack(stack)?;
        let line = LineIndex::parse(&stack.text).line_of(path);
        Ok((stack.file.clone(), line))
    }

    /// What is wrong, or not as it should be, with a stack; its required variables get values.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn lint_stack(
        &self,
        stack: &str,
        target: &RenderTarget<'_>,
    ) -> Result<Vec<LintFinding>, StackError> {
        let stack = self.find_stack(stack)?;
        let variables = stack.extension.sample_values();
        match inspect_stack_file(&stack, "app", &variables, target) {
            Ok(InspectedStack {
                rendered: Err(other),
                missing,
                ..
            }) if missing.is_empty() && !matches!(other, StackError::At { .. }) => Err(other),
            Ok(inspected) => {
                let services: Vec<&str> = inspected
                    .rendered
                    .iter()
                    .flat_map(|r| &r.services)
                    .map(|s| s.name.as_str())
                    .collect();
                let mut findings = inspected.findings;
                findings.extend(lint_variables(&stack));
                findings.extend(lint_command_services(&stack, &services));
                Ok(findings)
            }
            Err(StackError::At {
                file,
                line,
                message,
            }) => Ok(vec![LintFinding {
                severity: LintSeverity::Error,
                file,
                line,
                message,
            }]),
            Err(other) => Err(other),
        }
    }

    /// Lists the images of a stack as they are without variables of the operator's, each once.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be rendered.
    pub fn list_images(
        &self,
        stack: &str,
        target: &RenderTarget<'_>,
    ) -> Result<Vec<String>, StackError> {
        let rendered = self.render_sample(stack, target)?;
        let images: BTreeSet<String> = rendered.services.into_iter().map(|s| s.image).collect();
        Ok(images.into_iter().collect())
    }

    /// Renders a stack with a value for each variable that it declares as required.
    fn render_sample(
        &self,
        stack: &str,
        target: &RenderTarget<'_>,
    ) -> Result<RenderedStack, StackError> {
        let stack = self.find_stack(stack)?;
        render_stack_file(&stack, "app", &stack.extension.sample_values(), target)
    }

    /// Returns the `x-matou` of a stack.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn find_extension(&self, stack: &str) -> Result<Extension, StackError> {
        Ok(self.find_stack(stack)?.extension.clone())
    }

    /// Returns the variable that holds a service's image, as in `image: ${IMAGE:-ghost:6}`; `None`
    /// when the image is written out, or is more than one variable.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn find_image_variable(
        &self,
        stack: &str,
        service: &str,
    ) -> Result<Option<String>, StackError> {
        let file = self.read_stack_document(stack)?;
        let image = file["services"][service]["image"].as_str();
        Ok(image.and_then(find_only_variable))
    }

    /// Returns what a stack says of a service's number of tasks.
    ///
    /// # Errors
    /// When there is no such stack or service, or it can't be read as one.
    pub fn find_kept_replicas(
        &self,
        stack: &str,
        service: &str,
    ) -> Result<KeptReplicas, StackError> {
        let file = self.read_stack_document(stack)?;
        let Some(service) = file["services"].get(service) else {
            let message = tr!("the stack {stack} has no service {service}");
            return Err(StackError::Other(message));
        };
        Ok(match &service["deploy"]["replicas"] {
            // As the engine takes it.
            serde_yaml::Value::Null => KeptReplicas::Written("1".into()),
            serde_yaml::Value::String(text) => match find_only_variable(text) {
                Some(variable) => KeptReplicas::Variable(variable),
                None => KeptReplicas::Written(text.clone()),
            },
            serde_yaml::Value::Number(number) => KeptReplicas::Written(number.to_string()),
            // The engine's client refuses it.
            _ => KeptReplicas::Written(tr!("no number").into()),
        })
    }

    fn read_stack_document(&self, stack: &str) -> Result<serde_yaml::Value, StackError> {
        let stack = self.find_stack(stack)?;
        let read = read_loose_compose(&stack.text);
        let (document, _) = read.map_err(|e| stack.error_at(e.line, e.message))?;
        Ok(document.value)
    }

    /// Returns the catalogue with one more stack, made from `text`. It has no folder for other
    /// files.
    ///
    /// # Errors
    /// File and line of what is wrong in it.
    pub fn with_stack(mut self, name: &str, text: &str) -> Result<Self, StackError> {
        let folder = StackFolder::Path(std::path::PathBuf::from("/nonexistent"));
        let stack = StackFile::parse(name, &format!("{name}.yml"), folder, text)?;
        let stack = stack.with_known_images(&self.known_images);
        self.stacks.insert(name.to_owned(), stack);
        Ok(self)
    }

    /// Writes the stack of an application that runs without a file. `networks` is what `GET /networks`
    /// answers.
    ///
    /// # Errors
    /// What a compose file can't say of it; why its file could not be deployed; the name is none that
    /// matou takes.
    pub fn adopt(
        &self,
        app: &FoundApp,
        networks: &[serde_json::Value],
        routes: RouteLabels,
        target: &RenderTarget<'_>,
    ) -> Result<Adoption, StackError> {
        let draft = draft_stack(app, networks);
        if !draft.faults.is_empty() {
            return Err(StackError::Other(tr!(
                "a file for `docker stack deploy` can't say all of it: {}",
                draft.faults.join("; ")
            )));
        }
        // A stack of the catalogue stays what it is.
        let stack = match self.stacks.contains_key(&app.name) {
            true => format!("{}-adopted", app.name),
            false => app.name.clone(),
        };
        let render = |hashes: &BTreeMap<String, String>| {
            let text = draft.to_text(app, routes, hashes);
            let with_it = self.clone().with_stack(&stack, &text)?;
            let rendered = with_it.render_stack(&stack, &app.name, &BTreeMap::new(), target)?;
            Ok::<_, StackError>((text, rendered))
        };
        let kept = draft.to_text(app, RouteLabels::Keep, &BTreeMap::new());
        let with_it = self.clone().with_stack(&stack, &kept)?;
        // With labels that are to be others, nothing is as it runs: the file is that of what runs.
        let as_it_runs = with_it.render_stack(&stack, &app.name, &BTreeMap::new(), target)?;
        let hashes = as_it_runs.services.into_iter().map(|s| (s.name, s.hash));
        let (text, rendered) = render(&hashes.collect())?;
        let mut notes = draft.notes;
        if routes == RouteLabels::Migrate {
            notes.extend(rendered.notes);
        }
        Ok(Adoption {
            app: app.name.clone(),
            stack,
            text,
            domains: rendered.domains,
            notes,
        })
    }

    fn find_stack(&self, stack: &str) -> Result<Cow<'_, StackFile>, StackError> {
        if let Some(known) = self.stacks.get(stack) {
            return Ok(Cow::Borrowed(known));
        }
        if stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml") {
            let path = Path::new(stack);
            let folder = StackFolder::Path(path.parent().unwrap_or(Path::new(".")).to_owned());
            let file = StackFile::parse(stack, stack, folder, &read_stack_file(path)?)?;
            return Ok(Cow::Owned(file.with_known_images(&self.known_images)));
        }
        let names = || self.stacks.keys().map(String::as_str);
        Err(unknown_name("stack", stack, names()).into())
    }
}

fn insert_stack_file(
    stacks: &mut BTreeMap<String, StackFile>,
    path: &Path,
    file: &str,
    folder: StackFolder,
    text: &str,
) -> Result<(), StackError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    stacks.insert(
        name.to_string(),
        StackFile::parse(&name, file, folder, text)?,
    );
    Ok(())
}

fn read_stack_file(path: &Path) -> Result<String, StackError> {
    let failed =
        |e: std::io::Error| StackError::Other(tr!("{} can't be read: {e}", path.display()));
    // Before it is opened: a pipe would be waited for, and a device may have no end.
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > safety::MAX_STACK_BYTES {
        let path = path.display();
        return Err(StackError::Other(match meta.is_file() {
            true => tr!(
                "{path} is larger than {} KiB",
                safety::MAX_STACK_BYTES >> 10
            ),
            false => tr!("{path} is no file"),
        }));
    }
    std::fs::read_to_string(path).map_err(failed)
}
