//! The import table and the absences of the design, proved over the text of `src/`.
//!
//! Judged is what the library itself says: comments, strings and `#[cfg(test)]` code are blanked out first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{File, all_files, library};

/// Who imports whom: exactly these, so that a new arrow shows up here in the commit that draws it.
const IMPORTS: &[(&str, &[&str])] = &[
    // ── the path of a request ──
    // observe: a decision from memory is counted where it is taken, in the service and not in a future.
    // status: what the endpoint for revocations is told.
    ("middleware", &["authorizer", "observe", "policy", "rejection", "status"]),
    (
        "authorizer",
        &["clock", "credential", "crypto", "issuer", "keys", "observe", "policy", "rejection", "status", "token"],
    ),
    ("credential", &[]),
    ("token", &["clock", "credential", "crypto", "keys"]),
    // tasks: the refresher of a remote set is spawned by the one place that spawns.
    ("keys", &["clock", "crypto", "issuer", "observe", "tasks"]),
    // issuer, keys: introspection asks an authorization server, and may want its signature on the answers.
    // observe, tasks: a feed is followed in the background, and its trouble is seen.
    // sharing: what a source says is shared with other replicas.
    ("status", &["clock", "crypto", "issuer", "keys", "observe", "sharing", "tasks", "token"]),
    // token: a requirement is a statement about scopes and audiences, and its conditions read a verified token.
    ("policy", &["status", "token"]),
    ("rejection", &["credential", "policy", "status", "token"]),
    // ── what the path stands on ──
    // tasks: a token of our own is fetched by the one place that spawns.
    // sharing: the replicas of a service may have one such token together.
    ("issuer", &["clock", "crypto", "observe", "sharing", "tasks"]),
    // crypto: what is shared is sealed. tasks: it is put there in the background.
    ("sharing", &["clock", "crypto", "observe", "tasks"]),
    ("crypto", &[]),
    ("clock", &[]),
    ("observe", &[]),
    // Not in the design's picture: the one place that spawns is a module, since keys and fakes both need it.
    ("tasks", &[]),
    // ── other doors ──
    // token: an extractor hands on why claims do not have the form of a handler's type.
    ("axum", &["authorizer", "middleware", "policy", "rejection", "token"]),
    // clock: answers are judged by the time of whoever asked.
    // crypto, observe, tasks: subject tokens are known by digests, and refresh tokens stored in the background.
    // rejection: what another protected resource's challenge says.
    ("outbound", &["clock", "crypto", "issuer", "observe", "rejection", "tasks"]),
    // A preset is an issuer as anybody could configure it; a client is one of `outbound`'s with words of its own.
    // issuer: a server's API is asked over its transport. crypto: an API key is told from others by a digest.
    // clock, observe, status: a feed is an adapter of what status follows, and its trouble is told in words.
    // middleware: webhooks arrive at a service that an application mounts.
    (
        "providers",
        &[
            "authorizer",
            "clock",
            "crypto",
            "issuer",
            "keys",
            "middleware",
            "observe",
            "outbound",
            "status",
            "tasks",
            "token",
        ],
    ),
    // clock, tasks: whoever waits for a connection waits for a bounded time, and it is made though nobody waits any more.
    // crypto: keys are found by digests. observe, status: a log is an adapter of what status follows.
    // sharing: Redis is a store of records.
    ("redis", &["clock", "crypto", "observe", "sharing", "status", "tasks"]),
    // status: a feed over a bad network is a feed. sharing: a store that fails is a store.
    ("testing", &["clock", "crypto", "issuer", "keys", "sharing", "status", "tasks", "token"]),
];

#[test]
fn nobody_imports_what_the_table_does_not_say() {
    let expected: BTreeMap<&str, BTreeSet<&str>> =
        IMPORTS.iter().map(|(module, imports)| (*module, imports.iter().copied().collect())).collect();
    let library = library();
    assert_eq!(imports(&library), expected);
}

/// By top-level module, the others that it imports.
fn imports(library: &[File]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in library.iter().filter(|file| file.module != "lib") {
        let imports = file.paths.iter().filter_map(|path| path.strip_prefix("crate::"));
        let modules = imports.map(|path| path.split("::").next().unwrap()).filter(|module| *module != file.module);
        found.entry(&file.module).or_default().extend(modules);
    }
    found
}

#[test]
fn imports_form_no_circle() {
    let library = library();
    let mut open = imports(&library);
    // Whoever imports nobody that is still open cannot be part of a circle.
    while let Some(leaf) = open.iter().find(|(_, imports)| !imports.iter().any(|module| open.contains_key(module))) {
        let leaf = *leaf.0;
        open.remove(leaf);
    }
    assert!(open.is_empty(), "a circle within {open:?}");
}

#[test]
fn nobody_imports_the_doors() {
    only("crate::testing", &["src/testing"]);
    only("crate::axum", &["src/axum.rs"]);
    only("crate::providers", &["src/providers"]);
    only("crate::redis", &["src/redis"]);
}

#[test]
fn credential_token_policy_and_rejection_never_wait() {
    let never = ["async", "await", "Future", "poll"];
    let stages = ["src/credential", "src/token", "src/policy", "src/rejection"];
    none(|file| is_below(&file.name, &stages) && never.iter().any(|word| file.says(word)));
}

#[test]
fn credential_token_policy_and_rejection_never_name_the_issuers_side() {
    let stages = ["src/credential", "src/token", "src/policy", "src/rejection"];
    none(|file| is_below(&file.name, &stages) && file.names("crate::issuer"));
}

#[test]
fn only_crypto_names_a_crypto_crate() {
    for name in ["aws_lc_rs", "base64_simd", "pem", "ring", "rsa", "sha2", "hmac", "subtle"] {
        let exempt: &[&str] = if name == "base64_simd" { &["src/crypto", "src/testing"] } else { &["src/crypto"] };
        only(name, exempt);
    }
}

#[test]
fn only_keys_names_jsonwebtoken_and_nobody_its_verification() {
    only("jsonwebtoken", &["src/keys"]);
    for function in ["decode", "encode", "verify", "sign", "decode_header"] {
        none(|file| file.names(&format!("jsonwebtoken::{function}")));
        none(|file| file.names(&format!("jsonwebtoken::crypto::{function}")));
    }
}

#[test]
fn only_issuer_names_an_http_client() {
    // The doors beyond: whoever configures may hand over a client of their own, and whoever calls others may do it by one.
    only("reqwest", &["src/issuer", "src/authorizer/builder.rs", "src/outbound/attach/reqwest.rs"]);
    let library = library();
    let builder = library.iter().find(|file| file.name == "src/authorizer/builder.rs").unwrap();
    let named: Vec<_> = builder.paths.iter().filter(|path| path.starts_with("reqwest")).collect();
    assert_eq!(named, ["reqwest::Client"], "the builder takes a client and does nothing with it");
    // The fakes are servers.
    only("hyper", &["src/testing"]);
    only("hyper_util", &["src/testing"]);
}

#[test]
fn only_redis_names_redis_and_its_tls() {
    only("redis", &["src/redis"]);
    only("rustls", &["src/redis/tls.rs"]);
}

#[test]
fn only_observe_names_tracing_or_metrics() {
    for name in ["tracing", "metrics", "log"] {
        only(name, &["src/observe.rs"]);
    }
    none(|file| ["println", "eprintln", "dbg"].iter().any(|word| file.says(word)));
}

#[test]
fn only_clock_reads_time() {
    let words = ["Instant", "SystemTime", "UNIX_EPOCH"];
    none(|file| file.name != "src/clock.rs" && words.iter().any(|word| file.says(word)));
    only("tokio::time", &["src/clock.rs"]);
    only("coarsetime", &["src/clock.rs"]);
    only("std::thread::sleep", &[]);
}

#[test]
fn only_tasks_spawns() {
    for name in ["tokio::spawn", "tokio::task::spawn", "tokio::task::JoinSet", "tokio::runtime", "std::thread"] {
        only(name, &["src/tasks.rs"]);
    }
    none(|file| file.name != "src/tasks.rs" && (file.code.contains(".spawn") || file.says("spawn_blocking")));
}

#[test]
fn only_what_an_application_mounts_names_tower() {
    for name in ["tower", "tower_layer", "tower_service"] {
        only(name, &["src/middleware", "src/axum.rs", "src/outbound", "src/providers"]);
    }
    for name in ["axum", "axum_core"] {
        only(name, &["src/axum.rs"]);
    }
}

#[test]
fn nobody_is_unsafe() {
    let root = all_files(&["src"]).into_iter().find(|(name, _)| name == "src/lib.rs").unwrap().1;
    assert!(root.starts_with("#![forbid(unsafe_code)]\n"));
}

#[test]
fn imports_across_modules_are_written_from_the_root() {
    none(|file| file.paths.iter().any(|path| path.starts_with("super::super") || path.starts_with("self::super")));
    // One level up from the file of a top-level module is another module.
    none(|file| {
        let is_top = file.name.matches('/').count() == 1
            || (file.name.matches('/').count() == 2 && file.name.ends_with("/mod.rs"));
        is_top && file.paths.iter().any(|path| path.starts_with("super::"))
    });
}

#[test]
fn every_file_is_short_and_opens_with_what_it_is() {
    let lost: Vec<_> = all_files(&["src", "tests", "examples", "benches", "fuzz"])
        .into_iter()
        .filter(|(_, text)| {
            // Attributes of the crate stand before its words in lib.rs.
            let first = text.lines().find(|line| !line.starts_with("#![")).unwrap_or_default();
            text.lines().count() > 400 || !first.starts_with("//! ")
        })
        .map(|(name, text)| format!("{name}, {} lines", text.lines().count()))
        .collect();
    assert!(lost.is_empty(), "longer than 400 lines, or without a first sentence: {lost:#?}");
}

/// A path that begins with `name` is named below these places alone.
fn only(name: &str, places: &[&str]) {
    none(|file| !is_below(&file.name, places) && file.names(name));
}

fn is_below(name: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.'])))
}

#[track_caller]
fn none(is_wrong: impl Fn(&File) -> bool) {
    let wrong: Vec<_> = library().into_iter().filter(|file| is_wrong(file)).map(|file| file.name).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
