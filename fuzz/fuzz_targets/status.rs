//! Any answer about a token, any event of a feed → read or refused; never a panic, and an event comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::status::{RevocationEvent, TokenStatus};

fuzz_target!(|data: &[u8]| {
    match TokenStatus::described(&data.to_vec().into()) {
        Ok(status) => assert!(status.is_active()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(event) = serde_json::from_slice::<RevocationEvent>(data) {
        let text = serde_json::to_string(&event).expect("an event can be written");
        let again: RevocationEvent = serde_json::from_str(&text).expect("and read again");
        assert_eq!(again, event);
    }
});
