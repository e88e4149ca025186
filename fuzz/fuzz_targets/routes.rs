//! Any route file, any patterns, any path → a table that says the same when read back, and never guesses.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use portcullis::{
    Requirement, RouteTable, Unlisted,
    policy::{Location, Lookup},
};

// The first line is a path that is looked up; the rest is a route file, or else one pattern on each line.
fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((path, rest)) = text.split_once('\n') else { return };
    if let Ok(table) = RouteTable::from_json(rest) {
        look_up(&table, path);
        let written = serde_json::to_string(&table).expect("what was read can be written");
        let again = RouteTable::from_json(&written).expect("what was written can be read");
        assert_eq!(table.to_string(), again.to_string(), "{written}");
    }

    let patterns: Vec<&str> = rest.lines().collect();
    let builder = patterns.iter().enumerate().fold(RouteTable::builder(), |builder, (position, pattern)| {
        builder.get(pattern, Requirement::scope(&format!("s{position}")))
    });
    let Ok(table) = builder.otherwise(Unlisted::Deny) else { return };
    look_up(&table, path);
    for (position, pattern) in patterns.iter().enumerate() {
        let scope = format!("s{position}");
        let by_pattern = table.lookup(&Method::GET, Location::Pattern(pattern));
        assert!(matches!(by_pattern, Lookup::Requirement(found) if found.to_string() == scope), "{pattern}");
        // A pattern without wildcards is its own path, and no wildcard may take that from it.
        if !pattern.contains(['{', '}']) {
            let by_path = table.lookup(&Method::GET, Location::Path(pattern));
            assert!(matches!(by_path, Lookup::Requirement(found) if found.to_string() == scope), "{pattern}");
        }
    }
});

/// Whatever the table says, it says nothing to a path that others might read differently.
fn look_up(table: &RouteTable, path: &str) {
    let is_suspicious = !path.starts_with('/')
        || path.contains("//")
        || path.contains(['\\', '\0', ';'])
        || ["%2f", "%5c", "%2e", "%00"].iter().any(|encoded| path.to_ascii_lowercase().contains(encoded))
        || path.split('/').any(|segment| segment == "." || segment == "..");
    for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
        let found = table.lookup(&method, Location::Path(path));
        assert!(!is_suspicious || matches!(found, Lookup::Ambiguous), "{path:?}");
    }
}
