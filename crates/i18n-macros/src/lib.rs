//! The macros of `matou-i18n`, which says how they belong together.
//!
//! Why not an existing library: those that find a message by its English text (`tr`, `gettext-macros`,
//! `i18n-format`) look it up and fill it in while the program runs, without what `format!` has (`{name}` of
//! a variable, `{:>3}`), and an argument that a translation forgets or invents is seen by whoever reads it.
//! Here the translation is the format string of a `format!` of its own: the compiler checks it, and the
//! English one is what it would be without any of this.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use proc_macro::TokenStream;
use proc_macro2::{Ident, Literal, TokenStream as Tokens};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, LitStr, Token, parse_macro_input};

/// A message in the language of whoever looks: `tr!("{name} is gone")` takes what `format!` takes and gives
/// a `String`; without arguments, `tr!("gone")`, it gives a `&'static str`.
#[proc_macro]
pub fn tr(input: TokenStream) -> TokenStream {
    let message = parse_macro_input!(input as Message);
    message.expand().into()
}

/// A message with a number of things, in singular or plural: `trn!(count, "{n} file", "{n} files")`; more
/// arguments follow as in `format!`. Gives a `String`.
#[proc_macro]
pub fn trn(input: TokenStream) -> TokenStream {
    let message = parse_macro_input!(input as Counted);
    message.expand().into()
}

/// A text of a constant in both languages, as a `matou_i18n::Text`.
#[proc_macro]
pub fn both(input: TokenStream) -> TokenStream {
    let english = parse_macro_input!(input as LitStr);
    let french = catalogue_of_crate().find(&english.value());
    let french = LitStr::new(&french.unwrap_or_else(|| english.value()), english.span());
    quote!(::matou_i18n::Text::new(#english, #french)).into()
}

/// Says, once in a crate, that it has a catalogue: a change of `po/fr.po` builds the crate anew.
#[proc_macro]
pub fn catalogue(_: TokenStream) -> TokenStream {
    let path = path_of_crate(CATALOGUE).to_string_lossy().into_owned();
    quote!(
        const _: &str = include_str!(#path);
    )
    .into()
}

/// A whole catalogue as a sorted slice of `(English, French)`, by its path in the crate: `messages!("po/help.fr.po")`.
/// What counts is there by its singular, once for each form. For texts that do not stand in the source as messages
/// (the help of the command line).
#[proc_macro]
pub fn messages(input: TokenStream) -> TokenStream {
    let name = parse_macro_input!(input as LitStr);
    let path = path_of_crate(&name.value());
    let catalogue = Catalogue::read(&path);
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(catalogue.plain.iter().map(|(e, f)| (&**e, &**f)));
    for (one, (french_one, french_many)) in &catalogue.counted {
        pairs.extend([(&**one, &**french_one), (&**one, &**french_many)]);
    }
    pairs.sort_unstable();
    let pairs = pairs
        .iter()
        .map(|(english, french)| quote!((#english, #french)));
    let path = path.to_string_lossy().into_owned();
    quote!({
        const _: &str = include_str!(#path);
        const MESSAGES: &[(&str, &str)] = &[#(#pairs),*];
        MESSAGES
    })
    .into()
}

/// The catalogue of a crate, in its folder.
const CATALOGUE: &str = "po/fr.po";

/// A format string and what it is filled with.
struct Message {
    text: LitStr,
    args: Tokens,
}

impl Parse for Message {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let text = input.parse()?;
        let args = parse_args(input)?;
        Ok(Self { text, args })
    }
}

impl Message {
    fn expand(&self) -> Tokens {
        let Self {
            text: english,
            args,
        } = self;
        let french = catalogue_of_crate().find(&english.value());
        let french = french.map(|f| spanned(&f, english));
        match (french, args.is_empty() && !has_braces(&english.value())) {
            (Some(french), true) => quote!(::matou_i18n::choose(#english, #french)),
            (None, true) => quote!(#english),
            (Some(french), false) => quote! {
                match ::matou_i18n::is_french() {
                    true => ::std::format!(#french #args),
                    false => ::std::format!(#english #args),
                }
            },
            (None, false) => quote!(::std::format!(#english #args)),
        }
    }
}

/// A number of things, the format strings for one and for many, and what else they are filled with.
struct Counted {
    count: Expr,
    one: LitStr,
    many: LitStr,
    args: Tokens,
}

impl Parse for Counted {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let count = input.parse()?;
        input.parse::<Token![,]>()?;
        let one = input.parse()?;
        input.parse::<Token![,]>()?;
        let many = input.parse()?;
        let args = parse_args(input)?;
        Ok(Self {
            count,
            one,
            many,
            args,
        })
    }
}

impl Counted {
    fn expand(&self) -> Tokens {
        let Self {
            count,
            one,
            many,
            args,
        } = self;
        // As if whoever wrote the message had named it: `{n}` finds it.
        let n = Ident::new("n", one.span());
        let english = quote! {
            match ::matou_i18n::is_singular(#n) {
                true => ::std::format!(#one #args),
                false => ::std::format!(#many #args),
            }
        };
        let french = catalogue_of_crate().find_counted(&one.value());
        let chosen = match french {
            None => english,
            Some((french_one, french_many)) => {
                let (french_one, french_many) =
                    (spanned(&french_one, one), spanned(&french_many, many));
                quote! {
                    match (::matou_i18n::is_french(), ::matou_i18n::is_singular(#n)) {
                        (false, _) => #english,
                        (true, true) => ::std::format!(#french_one #args),
                        (true, false) => ::std::format!(#french_many #args),
                    }
                }
            }
        };
        quote!({
            let #n = #count;
            #chosen
        })
    }
}

/// What follows a format string: its comma and all behind.
fn parse_args(input: ParseStream<'_>) -> syn::Result<Tokens> {
    if input.is_empty() {
        return Ok(Tokens::new());
    }
    let comma: Token![,] = input.parse()?;
    let rest: Tokens = input.parse()?;
    Ok(match rest.is_empty() {
        true => Tokens::new(),
        false => quote!(#comma #rest),
    })
}

/// A literal that stands where another one does, so that `{name}` finds the same variables.
fn spanned(text: &str, of: &LitStr) -> Literal {
    let mut literal = Literal::string(text);
    literal.set_span(of.span());
    literal
}

fn has_braces(text: &str) -> bool {
    text.contains(['{', '}'])
}

/// The translations of a crate.
#[derive(Default)]
struct Catalogue {
    plain: HashMap<String, String>,
    counted: HashMap<String, (String, String)>,
}

impl Catalogue {
    /// Reads a catalogue; without a file, or with one that can't be read, there are no translations, which
    /// the test of translations tells with the file's name.
    fn read(path: &Path) -> Self {
        let mut read = Self::default();
        let Ok(file) = polib::po_file::parse(path) else {
            return read;
        };
        for message in file.messages() {
            if message.is_fuzzy() || !message.is_translated() {
                continue;
            }
            let id = message.msgid().to_owned();
            match message.is_plural() {
                false => {
                    let text = message.msgstr().unwrap_or_default().to_owned();
                    read.plain.insert(id, text);
                }
                true => {
                    let forms = message.msgstr_plural().ok();
                    if let Some([one, many]) = forms.map(Vec::as_slice) {
                        read.counted.insert(id, (one.clone(), many.clone()));
                    }
                }
            }
        }
        read
    }

    fn find(&self, english: &str) -> Option<String> {
        self.plain.get(english).cloned()
    }

    fn find_counted(&self, one: &str) -> Option<(String, String)> {
        self.counted.get(one).cloned()
    }
}

/// The path of a file of the crate that is compiled.
fn path_of_crate(name: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    Path::new(&folder).join(name)
}

/// The catalogue of the crate that is compiled, read once.
fn catalogue_of_crate() -> Arc<Catalogue> {
    static READ: OnceLock<Mutex<HashMap<PathBuf, Arc<Catalogue>>>> = OnceLock::new();
    let path = path_of_crate(CATALOGUE);
    let mut read = match READ.get_or_init(Mutex::default).lock() {
        Ok(read) => read,
        Err(poisoned) => poisoned.into_inner(),
    };
    let known = read.entry(path.clone());
    Arc::clone(known.or_insert_with(|| Arc::new(Catalogue::read(&path))))
}
