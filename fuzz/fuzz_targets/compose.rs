//! Stack files: read, linted, rendered, migrated.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use matou::config::Config;
use matou::stack::{Catalogue, Target, migrate_file};

const FLEET: &str = "[[nodes]]\nname = \"n1\"\naddress = \"n1\"\nrole = \"manager\"\n";

fuzz_target!(|text: &str| {
    let config = Config::parse(FLEET, Path::new("/fleet/config.toml")).expect("a configuration");
    let target = Target::of(&config);
    let built_in = Catalogue::load(None).expect("the built-in stacks");
    if let Ok(catalogue) = built_in.with("own", text) {
        let _ = catalogue.lint("own", &target);
        let _ = catalogue.render("own", "app", &BTreeMap::new(), &target);
    }
    let _ = migrate_file("own.yml", text, "own", "le");
});
