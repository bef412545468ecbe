//! Figures about the code of `src/` and `crates/`, tests left out, each with its limit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Result, WrapErr};
use matou::outln;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::circles::CrateFiles;

/// Lines of a function at most.
const LONG: usize = 80;
/// Lines of shell in a string literal at most.
const SHELL: usize = 2;

/// What was counted.
#[derive(Default)]
pub struct Counts {
    /// Functions and methods, without `new`, `main` and those of traits.
    own: usize,
    one_word: usize,
    functions: usize,
    /// Names and places of functions that are too long.
    long: Vec<String>,
    free: BTreeMap<String, usize>,
    types: BTreeMap<String, usize>,
    /// Places of functions that answer `Result<_, String>`.
    string_errors: Vec<String>,
    /// Places of shell in string literals.
    shell: Vec<String>,
    /// Files that need each other, without a comment that says why.
    circles: Vec<String>,
    file: String,
    of_trait: bool,
}

impl Counts {
    /// Counts the code below `root`.
    ///
    /// # Errors
    /// A file can't be read, or is no Rust.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![root.join("src"), root.join("crates")];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir()? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let parsed = syn::parse_file(&std::fs::read_to_string(&path)?)
                        .wrap_err_with(|| format!("{} can't be parsed", path.display()))?;
                    files.push((path, parsed));
                }
            }
        }
        let of_tests: Vec<PathBuf> = files.iter().flat_map(list_test_modules).collect();
        let mut counts = Self::default();
        let mut crates: BTreeMap<String, CrateFiles> = BTreeMap::new();
        for (path, parsed) in &files {
            if parsed.attrs.iter().any(is_test_only) || of_tests.contains(path) {
                continue;
            }
            let place = path.strip_prefix(root).unwrap_or(path);
            counts.file = place.display().to_string();
            counts.visit_file(parsed);
            if let Some((of, below)) = counts.file.split_once("src/") {
                crates
                    .entry(of.to_owned())
                    .or_default()
                    .add_file(below, parsed);
            }
        }
        for (of, files) in &crates {
            let found = files.find_circles();
            counts
                .circles
                .extend(found.iter().map(|c| format!("{of}src: {c}")));
        }
        Ok(counts)
    }

    /// Prints a line for each figure, and where it is counted by place, the places.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn print(&self) -> Result<()> {
        for (name, value, limit) in self.figures() {
            outln!("{name:<50} {value:>6.1}  limit {limit}")?;
        }
        for (what, places) in [
            ("over 80 lines", &self.long),
            ("Result<_, String>", &self.string_errors),
            ("shell in a literal", &self.shell),
            ("circle of files", &self.circles),
        ] {
            for place in places {
                outln!("  {what}: {place}")?;
            }
        }
        Ok(())
    }

    /// Returns the names of the figures that are over their limits.
    pub fn over_limit(&self) -> Vec<&'static str> {
        let over = self
            .figures()
            .into_iter()
            .filter(|(_, value, limit)| value > limit);
        over.map(|(name, ..)| name).collect()
    }

    fn figures(&self) -> Vec<(&'static str, f64, f64)> {
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        let sharing = |names: &BTreeMap<String, usize>| {
            let shared = names.values().filter(|n| **n > 1).sum();
            percent(shared, names.values().sum())
        };
        vec![
            (
                "functions that answer Result<_, String>",
                self.string_errors.len() as f64,
                5.0,
            ),
            (
                "own functions with one-word names, %",
                percent(self.one_word, self.own),
                40.0,
            ),
            ("types that share a name, %", sharing(&self.types), 8.0),
            (
                "free functions that share a name, %",
                sharing(&self.free),
                15.0,
            ),
            (
                "functions over 80 lines, %",
                percent(self.long.len(), self.functions),
                0.5,
            ),
            (
                "shell over two lines in string literals",
                self.shell.len() as f64,
                0.0,
            ),
            (
                "circles of files that no comment explains",
                self.circles.len() as f64,
                0.0,
            ),
        ]
    }

    fn count_function(&mut self, sig: &syn::Signature, whole: proc_macro2::Span) {
        let name = sig.ident.to_string();
        let (start, end) = (whole.start().line, whole.end().line);
        self.functions += 1;
        if end - start + 1 > LONG {
            self.long.push(format!(
                "{}:{start} {name}, {} lines",
                self.file,
                end - start + 1
            ));
        }
        if let syn::ReturnType::Type(_, answer) = &sig.output
            && answers_string_error(answer)
        {
            self.string_errors
                .push(format!("{}:{start} {name}", self.file));
        }
        if !self.of_trait && name != "new" && name != "main" {
            self.own += 1;
            self.one_word += usize::from(!name.contains('_'));
        }
    }

    fn count_type(&mut self, name: &syn::Ident) {
        *self.types.entry(name.to_string()).or_default() += 1;
    }
}

/// Lists the files beside a `mod.rs` or `lib.rs` that are modules of tests.
fn list_test_modules((path, parsed): &(PathBuf, syn::File)) -> Vec<PathBuf> {
    let modules = parsed.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() => Some(module),
        _ => None,
    });
    modules
        .filter(|m| m.attrs.iter().any(is_test_only))
        .map(|m| path.with_file_name(format!("{}.rs", m.ident)))
        .collect()
}

/// `#[cfg(test)]` and `#[test]`.
pub(crate) fn is_test_only(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    path.is_ident("test")
        || path.is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
}

fn answers_string_error(answer: &syn::Type) -> bool {
    let syn::Type::Path(path) = answer else {
        return false;
    };
    let Some(last) = path.path.segments.last().filter(|s| s.ident == "Result") else {
        return false;
    };
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return false;
    };
    matches!(arguments.args.iter().nth(1), Some(syn::GenericArgument::Type(syn::Type::Path(e))) if e.path.is_ident("String"))
}

/// Whether a literal is a shell script and not a sentence, a unit file or a page.
fn is_shell(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let is_code = |l: &&&str| {
        l.starts_with("set -e")
            || l.starts_with("if [")
            || l.starts_with("case ")
            || l.ends_with("; then")
            || l.ends_with("; do")
            || ["fi", "done", "esac"].contains(*l)
            || l.contains("\"$1\"")
            || l.contains("|| exit")
    };
    lines.len() > SHELL && lines.iter().filter(is_code).count() > 0
}

impl<'ast> Visit<'ast> for Counts {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Const(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Enum(i) => &i.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !attributes.iter().any(is_test_only) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let name = function.sig.ident.to_string();
        if name != "main" {
            *self.free.entry(name).or_default() += 1;
        }
        self.count_function(&function.sig, function.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, of: &'ast syn::ItemImpl) {
        let before = std::mem::replace(&mut self.of_trait, of.trait_.is_some());
        visit::visit_item_impl(self, of);
        self.of_trait = before;
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !function.attrs.iter().any(is_test_only) {
            self.count_function(&function.sig, function.span());
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.count_type(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.count_type(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.count_type(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.count_type(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        let text = literal.value();
        if is_shell(&text) {
            let line = literal.span().start().line;
            self.shell.push(format!(
                "{}:{line}, {} lines",
                self.file,
                text.lines().count()
            ));
        }
    }
}
