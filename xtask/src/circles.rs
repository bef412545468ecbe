//! Circles of files: two or more files of a crate that need each other.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Words in a file's head comment that say why it is in a circle.
const REASON: &str = "need each other";

/// A module of a crate, by the names on the way to it; the crate itself is the empty one.
type ModulePath = Vec<String>;

/// What a file defines, imports and names.
#[derive(Default)]
struct ModuleNames {
    defined: BTreeSet<String>,
    /// By the name that it has here.
    imported: BTreeMap<String, Vec<String>>,
    named: BTreeSet<Vec<String>>,
    /// The head comment says why the file is in a circle.
    explained: bool,
}

/// The files of one crate, without those of tests.
#[derive(Default)]
pub(crate) struct CrateFiles {
    modules: BTreeMap<ModulePath, ModuleNames>,
}

impl CrateFiles {
    /// Adds a file. `place` is its path below `src`, as `log/view.rs`.
    pub(crate) fn add_file(&mut self, place: &str, parsed: &syn::File) {
        let mut path: ModulePath = place
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(
            path.last().map(String::as_str),
            Some("lib" | "mod" | "main")
        ) {
            path.pop();
        }
        let mut names = ModuleNames {
            explained: parsed.attrs.iter().any(is_reason),
            ..ModuleNames::default()
        };
        names.visit_file(parsed);
        self.modules.insert(path, names);
    }

    /// Returns the circles that no head comment explains, each as the names of its files.
    pub(crate) fn find_circles(&self) -> Vec<String> {
        let needs: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = self
            .modules
            .iter()
            .map(|(module, names)| (module, self.list_needed(module, names)))
            .collect();
        let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = needs
            .keys()
            .map(|module| (*module, list_reached(module, &needs)))
            .collect();
        let mut circles: BTreeSet<Vec<&ModulePath>> = BTreeSet::new();
        for (module, reaches) in &reached {
            if reaches.contains(*module) {
                let both = |other: &&&ModulePath| {
                    reaches.contains(**other) && reached[**other].contains(*module)
                };
                circles.insert(reached.keys().filter(both).copied().collect());
            }
        }
        circles
            .into_iter()
            .filter(|circle| !circle.iter().any(|m| self.modules[*m].explained))
            .map(|circle| {
                let names = circle.iter().map(|m| match m.as_slice() {
                    [] => "lib".to_owned(),
                    names => names.join("/"),
                });
                names.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    fn list_needed(&self, module: &ModulePath, names: &ModuleNames) -> BTreeSet<ModulePath> {
        let found = names.named.iter().filter_map(|path| {
            let path = match path.as_slice() {
                // A name alone is no module: it is imported, or needs nothing.
                [name] => names.imported.get(name)?,
                longer => longer,
            };
            self.find_definition(module, path, 0)
        });
        found.filter(|other| other != module).collect()
    }

    /// Returns the module that defines what a path names in `module`; `None` outside this crate.
    fn find_definition(
        &self,
        module: &ModulePath,
        path: &[String],
        depth: usize,
    ) -> Option<ModulePath> {
        // A name that is imported under itself would be looked for without an end.
        if depth > 12 {
            return None;
        }
        let Some((first, rest)) = path.split_first() else {
            return self.modules.contains_key(module).then(|| module.clone());
        };
        let parent = || module[..module.len().saturating_sub(1)].to_vec();
        match first.as_str() {
            "crate" => return self.find_definition(&Vec::new(), rest, depth + 1),
            "self" => return self.find_definition(module, rest, depth + 1),
            "super" => return self.find_definition(&parent(), rest, depth + 1),
            _ => {}
        }
        let names = self.modules.get(module)?;
        let mut child = module.clone();
        child.push(first.clone());
        if self.modules.contains_key(&child) {
            return self.find_definition(&child, rest, depth + 1);
        }
        if names.defined.contains(first) {
            return Some(module.clone());
        }
        let target = names.imported.get(first)?;
        let target: Vec<String> = target.iter().chain(rest).cloned().collect();
        self.find_definition(module, &target, depth + 1)
    }
}

fn list_reached(
    from: &ModulePath,
    needs: &BTreeMap<&ModulePath, BTreeSet<ModulePath>>,
) -> BTreeSet<ModulePath> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(module) = open.pop() {
        for next in needs.get(&module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

fn is_reason(attribute: &syn::Attribute) -> bool {
    let syn::Meta::NameValue(doc) = &attribute.meta else {
        return false;
    };
    let syn::Expr::Lit(literal) = &doc.value else {
        return false;
    };
    matches!(&literal.lit, syn::Lit::Str(text) if text.value().contains(REASON))
}

impl ModuleNames {
    fn add_use(&mut self, before: &[String], tree: &syn::UseTree, is_shared: bool) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.add_use(&path, &part.tree, is_shared);
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.import(path.last().cloned(), path, is_shared);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.import(path.last().cloned(), path, is_shared);
            }
            syn::UseTree::Rename(renamed) => {
                path.push(renamed.ident.to_string());
                self.import(Some(renamed.rename.to_string()), path, is_shared);
            }
            syn::UseTree::Glob(_) => {
                self.named.insert(path);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(&path, tree, is_shared);
                }
            }
        }
    }

    /// Notes an import. What is only passed on to others is not needed here.
    fn import(&mut self, name: Option<String>, path: Vec<String>, is_shared: bool) {
        if !is_shared {
            self.named.insert(path.clone());
        }
        if let Some(name) = name {
            self.imported.insert(name, path);
        }
    }

    /// Notes the paths in a macro's tokens.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.named.insert(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                other => {
                    self.named.insert(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.named.insert(path);
    }
}

impl<'ast> Visit<'ast> for ModuleNames {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        let (attributes, name) = match item {
            Item::Fn(i) => (&i.attrs, Some(&i.sig.ident)),
            Item::Struct(i) => (&i.attrs, Some(&i.ident)),
            Item::Enum(i) => (&i.attrs, Some(&i.ident)),
            Item::Trait(i) => (&i.attrs, Some(&i.ident)),
            Item::Type(i) => (&i.attrs, Some(&i.ident)),
            Item::Const(i) => (&i.attrs, Some(&i.ident)),
            Item::Static(i) => (&i.attrs, Some(&i.ident)),
            Item::Impl(i) => (&i.attrs, None),
            Item::Mod(i) => (&i.attrs, None),
            Item::Use(i) => (&i.attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if attributes.iter().any(super::counts::is_test_only) {
            return;
        }
        self.defined.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_shared = !matches!(item.vis, syn::Visibility::Inherited);
        self.add_use(&[], &item.tree, is_shared);
    }

    /// `pub(super)` and `pub(crate)` need nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|s| s.ident.to_string());
        self.named.insert(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = CrateFiles::default();
        for (place, text) in files {
            all.add_file(place, &syn::parse_file(text).unwrap());
        }
        all.find_circles()
    }

    #[test]
    fn a_circle_through_re_exports_and_macros_is_found() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::make;"),
            ("a.rs", "pub fn of() { crate::make(); }"),
            ("b/mod.rs", "mod c; pub use c::make;"),
            (
                "b/c.rs",
                "pub fn make() { println!(\"{}\", crate::a::of()); }",
            ),
        ];
        assert_eq!(circles_of(&files), ["a b/c"]);
    }

    #[test]
    fn tests_and_what_is_explained_make_no_circle() {
        let only_tests = [
            ("lib.rs", ""),
            ("a.rs", "use super::b::B; struct A(B);"),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] mod tests { use super::super::a::A; }",
            ),
        ];
        assert!(circles_of(&only_tests).is_empty());
        let explained = [
            ("lib.rs", ""),
            (
                "a.rs",
                "//! This and `b` need each other.\nuse super::b::B; pub struct A(B);",
            ),
            ("b.rs", "pub struct B(Box<super::a::A>);"),
        ];
        assert!(circles_of(&explained).is_empty());
        let unexplained = [
            explained[0],
            ("a.rs", "use super::b::B; pub struct A(B);"),
            explained[2],
        ];
        assert_eq!(circles_of(&unexplained), ["a b"]);
    }
}
