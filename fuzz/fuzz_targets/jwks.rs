//! Any document → a set of public keys, or an error; never a panic, never a secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::KeySet;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    match KeySet::from_json(data) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(set) => {
            let document: Value = serde_json::from_slice(data).expect("a key set is JSON");
            let published = document["keys"].as_array().map_or(1, Vec::len);
            assert!(!set.keys().is_empty());
            assert_eq!(set.keys().len() + set.skipped().len(), published);
            for key in set.keys() {
                assert!(!key.algorithm().is_symmetric(), "{key:?}");
            }
        }
    }
});
