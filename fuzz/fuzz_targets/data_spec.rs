//! Names of data sets: refused, or one that is written and read back as it is.
#![no_main]

use ksom_datasets::DataSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = text.parse::<DataSpec>() {
        assert_eq!(spec.to_string().parse::<DataSpec>().unwrap(), spec);
    }
});
