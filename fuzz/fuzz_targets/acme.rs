//! Traefik's store of certificates, of every version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matou::edge::AcmeStore;

fuzz_target!(|text: &str| {
    if let Ok(store) = AcmeStore::parse(text) {
        let names: Vec<String> = store.certificates.iter().flat_map(|c| c.names.clone()).collect();
        for name in names {
            let (rest, gone) = store.without(&name);
            assert!(gone > 0);
            assert!(AcmeStore::parse(&rest).is_ok());
        }
    }
});
