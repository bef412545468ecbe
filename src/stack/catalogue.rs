//! The stacks that can be deployed: those built in, and those of the fleet folder, which add to
//! them or replace them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::StackError;
use super::extension::{Extension, Variable};
use super::files::Folder;
use super::lint::{Finding, Severity};
use super::reach;
use super::render::{Rendered, Target, render};
use crate::config::nearest;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/stacks");

/// Most variables that a file may ask for when it is looked at: it is rendered once more for each.
const MOST_REQUIRED: usize = 100;

/// A stack of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogueEntry {
    pub name: String,
    pub title: String,
    pub description: String,
    pub homepage: String,
    pub variables: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
struct Extended {
    #[serde(rename = "x-matou", default)]
    extension: Extension,
}

/// A stack file.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub name: String,
    /// As named in errors.
    pub file: String,
    pub text: String,
    /// Where the files are that it names.
    pub folder: Folder,
    pub extension: Extension,
}

impl Stack {
    fn parse(name: &str, file: &str, folder: Folder, text: &str) -> Result<Self, StackError> {
        reach::bounded(text).map_err(|message| StackError::At {
            file: file.to_owned(),
            line: 1,
            message,
        })?;
        let extended: Extended = serde_yaml::from_str(text).map_err(|e| StackError::At {
            file: file.to_owned(),
            line: e.location().map_or(1, |l| l.line()),
            message: e.to_string(),
        })?;
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            text: text.to_owned(),
            folder,
            extension: extended.extension,
        })
    }

    fn entry(&self) -> CatalogueEntry {
        let extension = self.extension.clone();
        CatalogueEntry {
            name: self.name.clone(),
            title: match extension.title.as_str() {
                "" => self.name.clone(),
                title => title.to_owned(),
            },
            description: extension.description,
            homepage: extension.homepage,
            variables: extension.variables,
        }
    }
}

/// All stacks, by name.
#[derive(Debug, Clone)]
pub struct Catalogue {
    stacks: BTreeMap<String, Stack>,
}

impl Catalogue {
    /// The built-in stacks and those in `stacks/` of the fleet folder.
    ///
    /// # Errors
    /// File and line of what is wrong in a stack file.
    pub fn load(fleet_folder: Option<&Path>) -> Result<Self, StackError> {
        let mut stacks = BTreeMap::new();
        for file in BUILT_IN.files() {
            let path = file.path();
            if path.extension().is_none_or(|e| e != "yml") {
                continue;
            }
            let text = file.contents_utf8().unwrap_or_default();
            insert(
                &mut stacks,
                path,
                &format!("stacks/{}", path.display()),
                Folder::BuiltIn(&BUILT_IN),
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
                .map_err(|e| StackError::Other(format!("the stacks folder can't be read: {e}")))?
                .path();
            if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
                let text = read(&path)?;
                let folder = Folder::Path(path.parent().unwrap_or(Path::new(".")).to_owned());
                let file = path.display().to_string();
                insert(&mut stacks, &path, &file, folder, &text)?;
            }
        }
        Ok(Self { stacks })
    }

    /// What can be deployed, by name.
    pub fn list(&self) -> Vec<CatalogueEntry> {
        self.stacks.values().map(Stack::entry).collect()
    }

    /// The file of a stack as it is deployed under a name. `stack` is a name of the catalogue or
    /// the path of a compose file.
    ///
    /// # Errors
    /// File and line; a variable or stack that does not exist, with the nearest that does; what
    /// makes it impossible to deploy.
    pub fn render(
        &self,
        stack: &str,
        app: &str,
        variables: &BTreeMap<String, String>,
        target: &Target<'_>,
    ) -> Result<Rendered, StackError> {
        let rendered = render(&*self.find(stack)?, app, variables, target)?;
        let error = |f: &&Finding| f.severity == Severity::Error;
        match rendered.findings.iter().find(error) {
            None => Ok(rendered),
            Some(first) => Err(StackError::At {
                file: first.file.clone(),
                line: first.line,
                message: first.message.clone(),
            }),
        }
    }

    /// What is wrong, or not as it should be, with a stack; its required variables get values.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn lint(&self, stack: &str, target: &Target<'_>) -> Result<Vec<Finding>, StackError> {
        let stack = self.find(stack)?;
        let mut variables = stack.extension.samples();
        // A variable that only the file asks for has some value too.
        for _ in 0..MOST_REQUIRED {
            match render(&stack, "app", &variables, target) {
                Ok(rendered) => return Ok(rendered.findings),
                Err(StackError::Required { name, .. }) if !variables.contains_key(&name) => {
                    variables.insert(name, "example.org".into());
                }
                Err(StackError::At {
                    file,
                    line,
                    message,
                }) => {
                    return Ok(vec![Finding {
                        severity: Severity::Error,
                        file,
                        line,
                        message,
                    }]);
                }
                Err(other) => return Err(other),
            }
        }
        Err(StackError::Other(format!(
            "{} asks for more than {MOST_REQUIRED} variables",
            stack.file
        )))
    }

    /// What a stack adds to its compose file.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn extension(&self, stack: &str) -> Result<Extension, StackError> {
        Ok(self.find(stack)?.extension.clone())
    }

    /// Which variable a service's image is, as in `image: ${IMAGE:-ghost:6}`; `None` when it is
    /// written out, or more than a variable.
    ///
    /// # Errors
    /// When there is no such stack, or it can't be read as one.
    pub fn image_variable(&self, stack: &str, service: &str) -> Result<Option<String>, StackError> {
        let stack = self.find(stack)?;
        let mut file: serde_yaml::Value = serde_yaml::from_str(&stack.text)
            .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
        let _ = file.apply_merge();
        reach::untag(&mut file);
        let image = file["services"][service]["image"].as_str().unwrap_or("");
        let Some(inside) = image.strip_prefix("${").and_then(|i| i.strip_suffix('}')) else {
            return Ok(None);
        };
        let end = inside
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inside.len());
        let (name, rest) = inside.split_at(end);
        let whole = matches!(rest.chars().next(), None | Some(':' | '-' | '?'))
            && !rest.contains(['}', '$']);
        Ok((whole && !name.is_empty()).then(|| name.to_owned()))
    }

    /// The catalogue with one more stack, of that text; its files are in no folder.
    ///
    /// # Errors
    /// File and line of what is wrong in it.
    pub fn with(mut self, name: &str, text: &str) -> Result<Self, StackError> {
        let folder = Folder::Path(std::path::PathBuf::from("/nonexistent"));
        let stack = Stack::parse(name, &format!("{name}.yml"), folder, text)?;
        self.stacks.insert(name.to_owned(), stack);
        Ok(self)
    }

    fn find(&self, stack: &str) -> Result<Cow<'_, Stack>, StackError> {
        if let Some(known) = self.stacks.get(stack) {
            return Ok(Cow::Borrowed(known));
        }
        if stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml") {
            let path = Path::new(stack);
            let folder = Folder::Path(path.parent().unwrap_or(Path::new(".")).to_owned());
            return Stack::parse(stack, stack, folder, &read(path)?).map(Cow::Owned);
        }
        let names = || self.stacks.keys().map(String::as_str);
        let hint = nearest(stack, names()).map_or_else(
            || format!("there are {}", names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near:?}?"),
        );
        Err(StackError::Other(format!(
            "there is no stack {stack:?}; {hint}"
        )))
    }
}

fn insert(
    stacks: &mut BTreeMap<String, Stack>,
    path: &Path,
    file: &str,
    folder: Folder,
    text: &str,
) -> Result<(), StackError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    stacks.insert(name.to_string(), Stack::parse(&name, file, folder, text)?);
    Ok(())
}

fn read(path: &Path) -> Result<String, StackError> {
    let failed =
        |e: std::io::Error| StackError::Other(format!("{} can't be read: {e}", path.display()));
    // Before it is opened: a pipe would be waited for, and a device may have no end.
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > reach::LARGEST {
        let what = match meta.is_file() {
            true => format!("larger than {} KiB", reach::LARGEST >> 10),
            false => "no file".into(),
        };
        return Err(StackError::Other(format!("{} is {what}", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}
