//! The stacks that can be deployed: those built in, and those of the fleet folder, which add to
//! them or replace them.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::StackError;
use super::render::{Rendered, render};
use crate::config::nearest;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/stacks");

/// A variable of a stack, as the form and the command line show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    #[serde(default)]
    pub help: String,
    pub default: Option<String>,
    #[serde(default)]
    pub required: bool,
}

/// A stack of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogueEntry {
    pub name: String,
    pub title: String,
    pub description: String,
    pub variables: Vec<Variable>,
}

/// What matou adds to a compose file; Docker ignores keys that begin with `x-`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extension {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
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
    pub extension: Extension,
}

impl Stack {
    fn parse(name: &str, file: &str, text: &str) -> Result<Self, StackError> {
        let extended: Extended = serde_yaml::from_str(text).map_err(|e| StackError::At {
            file: file.to_owned(),
            line: e.location().map_or(1, |l| l.line()),
            message: e.to_string(),
        })?;
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            text: text.to_owned(),
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
            let text = file.contents_utf8().unwrap_or_default();
            insert(
                &mut stacks,
                path,
                &format!("stacks/{}", path.display()),
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
                insert(&mut stacks, &path, &path.display().to_string(), &text)?;
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
    /// File and line; a variable or stack that does not exist, with the nearest that does.
    pub fn render(
        &self,
        stack: &str,
        app: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Rendered, StackError> {
        if let Some(known) = self.stacks.get(stack) {
            return render(known, app, variables);
        }
        if stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml") {
            let text = read(Path::new(stack))?;
            return render(&Stack::parse(stack, stack, &text)?, app, variables);
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
    text: &str,
) -> Result<(), StackError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    stacks.insert(name.to_string(), Stack::parse(&name, file, text)?);
    Ok(())
}

fn read(path: &Path) -> Result<String, StackError> {
    std::fs::read_to_string(path)
        .map_err(|e| StackError::Other(format!("{} can't be read: {e}", path.display())))
}
