//! What stands under `x-matou`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matou::stack::Catalogue;

fuzz_target!(|text: &str| {
    let indented: String = text.lines().map(|l| format!("  {l}\n")).collect();
    let file = format!("x-matou:\n{indented}services:\n  web: {{image: 'x:1'}}\n");
    let built_in = Catalogue::load(None).expect("the built-in stacks");
    if let Ok(catalogue) = built_in.with("own", &file) {
        let _ = catalogue.extension("own");
        let _ = catalogue.list();
    }
});
