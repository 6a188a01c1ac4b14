//! Arbitrary text is read as a configuration: any answer will do, a panic will not.
#![no_main]
use libfuzzer_sys::fuzz_target;
use parkade_config::{LoadOptions, MemorySource, load};

fuzz_target!(|text: &str| {
    let source = MemorySource::new().with("/c", text);
    let options = LoadOptions { file: Some("/c".into()), ..LoadOptions::default() };
    if let Err(found) = load(options, &source) {
        for diagnostic in found {
            let _ = diagnostic.render();
        }
    }
});
