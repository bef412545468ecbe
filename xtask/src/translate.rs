//! Catalogues of translations: `po/fr.po` of each crate holds what its source says in `tr!`, `trn!` and
//! `both!`, `po/help.fr.po` the help of the command line,
//! `stacks/po/fr.po` the texts of the catalogue's stacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use color_eyre::eyre::{Result, WrapErr, eyre};
use polib::catalog::Catalog;
use polib::message::{Message, MessageFlags, MessageView};
use proc_macro2::{TokenStream, TokenTree};

/// The catalogue of what stacks say.
const STACKS: &str = "stacks/po/fr.po";

/// A message, with the one for many things if it counts.
type MessageId = (String, Option<String>);

/// What a crate says, and its translations.
pub struct Translations {
    path: PathBuf,
    /// Messages in the order of their files, with the files that say them.
    said: Vec<(MessageId, Vec<String>)>,
    translated: Catalog,
}

impl Translations {
    /// Reads the source and the catalogue of every crate below `root` that has one.
    ///
    /// # Errors
    /// A file can't be read, is no Rust, or no catalogue.
    pub fn read_all(root: &Path) -> Result<Vec<Self>> {
        let mut crates: Vec<PathBuf> = root
            .join("crates")
            .read_dir()?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        crates.push(root.to_owned());
        crates.sort();
        let mut all = Vec::new();
        for folder in crates {
            let path = folder.join("po/fr.po");
            // The messages of i18n itself are those of its tests.
            if path.exists() && !folder.ends_with("i18n") {
                all.push(Self::read(path, list_said(&folder)?)?);
            }
        }
        all.push(Self::read(root.join("po/help.fr.po"), list_help())?);
        all.push(Self::read(root.join(STACKS), list_stacks()?)?);
        Ok(all)
    }

    fn read(path: PathBuf, said: Vec<(MessageId, Vec<String>)>) -> Result<Self> {
        let translated = polib::po_file::parse(&path)
            .map_err(|e| eyre!("{} can't be read: {e}", path.display()))?;
        Ok(Self {
            path,
            said,
            translated,
        })
    }

    /// Returns what is wrong, a line each: a message without a translation, a translation that nobody says.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, files) in &self.said {
            let found = self.find(id);
            if !found.is_some_and(|m| m.is_translated() && !m.is_fuzzy()) {
                problems.push(format!(
                    "{}: {:?} has no translation",
                    files.join(" "),
                    id.0
                ));
            }
        }
        for message in self.translated.messages() {
            if !self.said.iter().any(|(id, _)| *id == id_of(message)) {
                let path = self.path.display();
                problems.push(format!("{path}: nobody says {:?}", message.msgid()));
            }
        }
        problems
    }

    /// Writes the catalogue anew: as it was, without what nobody says, and with what has no translation yet.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self) -> Result<()> {
        let mut catalog = Catalog::new(self.translated.metadata.clone());
        for (id, files) in &self.said {
            let known = self.find(id);
            let mut flags = MessageFlags::new();
            if id.0.contains('{') && !self.path.ends_with(STACKS) {
                flags.add_flag("rust-format");
            }
            let source = files.join("\n");
            let message = match &id.1 {
                None => Message::build_singular()
                    .with_msgid(id.0.clone())
                    .with_msgstr(known.map_or("", |m| m.msgstr().unwrap_or("")).to_owned())
                    .with_source(source)
                    .with_flags(flags)
                    .done(),
                Some(many) => Message::build_plural()
                    .with_msgid(id.0.clone())
                    .with_msgid_plural(many.clone())
                    .with_msgstr_plural(match known.and_then(|m| m.msgstr_plural().ok()) {
                        Some(forms) => forms.clone(),
                        None => vec![String::new(), String::new()],
                    })
                    .with_source(source)
                    .with_flags(flags)
                    .done(),
            };
            catalog.append_or_update(message);
        }
        polib::po_file::write_to_file(&catalog, &self.path)
            .wrap_err_with(|| format!("{} can't be written", self.path.display()))
    }

    fn find(&self, id: &MessageId) -> Option<&dyn MessageView> {
        let message = self.translated.find_message(None, &id.0, id.1.as_deref())?;
        Some(message)
    }
}

fn id_of(message: &dyn MessageView) -> MessageId {
    let many = message.msgid_plural().ok().map(str::to_owned);
    (message.msgid().to_owned(), many)
}

/// Lists what the source of a crate says, with the files.
fn list_said(folder: &Path) -> Result<Vec<(MessageId, Vec<String>)>> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "rs") => paths.push(path),
                false => {}
            }
        }
    }
    paths.sort();
    let mut said = Collected::default();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let tokens: TokenStream = text
            .parse()
            .map_err(|e| eyre!("{} can't be parsed: {e}", path.display()))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        collect_messages(tokens, &name.display().to_string(), &mut said);
    }
    Ok(said.messages)
}

/// Messages, each once.
#[derive(Default)]
struct Collected {
    messages: Vec<(MessageId, Vec<String>)>,
    places: BTreeMap<MessageId, usize>,
}

impl Collected {
    fn add(&mut self, id: MessageId, file: &str) {
        let next = self.messages.len();
        let at = *self.places.entry(id.clone()).or_insert(next);
        if at == next {
            self.messages.push((id, Vec::new()));
        }
        let files = &mut self.messages[at].1;
        if !files.iter().any(|f| f == file) {
            files.push(file.to_owned());
        }
    }
}

/// Finds the macros that say something, in macros and attributes too.
fn collect_messages(tokens: TokenStream, file: &str, said: &mut Collected) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        if let [TokenTree::Ident(name), TokenTree::Punct(bang)] = &tokens[at.saturating_sub(2)..at]
            && bang.as_char() == '!'
        {
            let mut texts = group.stream().into_iter().filter_map(|token| match token {
                TokenTree::Literal(literal) => {
                    syn::parse_str::<syn::LitStr>(&literal.to_string()).ok()
                }
                _ => None,
            });
            match name.to_string().as_str() {
                "tr" | "both" => {
                    if let Some(text) = texts.next() {
                        said.add((text.value(), None), file);
                    }
                }
                "trn" => {
                    if let (Some(one), Some(many)) = (texts.next(), texts.next()) {
                        said.add((one.value(), Some(many.value())), file);
                    }
                }
                _ => {}
            }
        }
        collect_messages(group.stream(), file, said);
    }
}

/// Lists what the help of the command line says.
fn list_help() -> Vec<(MessageId, Vec<String>)> {
    let mut said = Collected::default();
    for text in matou::cli::list_help_texts(&matou::cli::Cli::command()) {
        said.add((text, None), "src/cli");
    }
    said.messages
}

/// Lists what the stacks of the catalogue say.
fn list_stacks() -> Result<Vec<(MessageId, Vec<String>)>> {
    let catalogue = matou::stack::Catalogue::load(None)?;
    let mut said = Collected::default();
    for entry in catalogue.list_entries() {
        let extension = catalogue.find_extension(&entry.name)?;
        for text in matou::stack::list_stack_texts(&extension) {
            said.add(
                (text.to_owned(), None),
                &format!("stacks/{}.yml", entry.name),
            );
        }
    }
    Ok(said.messages)
}
