//! Route files that are refused, and what their authors are told.

use portcullis::{
    Authorizer, ConfigError, Issuer, KeySet, KeySource, Requirement, RouteTable, Unlisted, testing::TestKey,
};

/// What is wrong with a file of which this is the only entry.
fn complaint(entry: &str) -> String {
    let file = format!(r#"{{"otherwise":"deny","routes":[{{"path":"/ok","any_of":[["a"]]}},{entry}]}}"#);
    match RouteTable::from_json(&file) {
        Ok(table) => format!("accepted: {table}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_error_names_the_entry_and_what_is_wrong_with_it_threat_32() {
    let rows = [
        (r#"{"path":"/a"}"#, "routes[1] /a: says neither `public` nor `any_of` nor `optional`"),
        (r#"{"path":"/a","public":false}"#, "routes[1] /a: says neither `public` nor `any_of` nor `optional`"),
        (r#"{"any_of":[["a"]]}"#, "routes[1] (no path): missing field `path`"),
        (r#"{"path":7,"public":true}"#, "routes[1] (no path): invalid type: integer `7`, expected a string"),
        (
            r#"{"path":"/a","public":true,"scopes":["a"]}"#,
            "routes[1] /a: unknown field `scopes`, expected one of `path`, `methods`, `public`, `optional`, `any_of`, \
             `audience`, `max_status_age`, `on_outage`",
        ),
        (
            r#"{"path":"/a","Public":true}"#,
            "routes[1] /a: unknown field `Public`, expected one of `path`, `methods`, `public`, `optional`, `any_of`, \
             `audience`, `max_status_age`, `on_outage`",
        ),
        (r#"{"path":"/a","any_of":[["a"]],"any_of":[[]]}"#, "routes[1] /a: duplicate field `any_of`"),
        (r#"{"path":"/a","public":true,"path":"/b"}"#, "routes[1] /a: duplicate field `path`"),
        (r#"{"path":"/a","public":true,"any_of":[["a"]]}"#, "routes[1] /a: `public` and `any_of` exclude each other"),
        (r#"{"path":"/a","public":true,"optional":true}"#, "routes[1] /a: `public` and `optional` exclude each other"),
        (r#"{"path":"/a","public":true,"audience":"x"}"#, "* /a: public, and yet demands something of a token"),
        (r#"{"path":"/a","public":true,"max_status_age":0}"#, "* /a: public, and yet demands something of a token"),
        (
            r#"{"path":"/a","methods":["get"],"any_of":[["a"]]}"#,
            "routes[1] /a: not a method (they are written in capitals)",
        ),
        (
            r#"{"path":"/a","methods":["GET "],"any_of":[["a"]]}"#,
            "routes[1] /a: not a method (they are written in capitals)",
        ),
        (
            r#"{"path":"/a","methods":[""],"any_of":[["a"]]}"#,
            "routes[1] /a: not a method (they are written in capitals)",
        ),
        (
            r#"{"path":"/a","methods":"GET","any_of":[["a"]]}"#,
            "routes[1] /a: invalid type: string \"GET\", expected a sequence",
        ),
        (r#"{"path":"/a","methods":[],"any_of":[["a"]]}"#, " /a: no method"),
        (r#"{"path":"/a","any_of":[]}"#, "* /a: no scopes and no alternative: nobody could pass"),
        (r#"{"path":"/a","optional":true,"any_of":[]}"#, "* /a: no scopes and no alternative: nobody could pass"),
        (
            r#"{"path":"/a","any_of":[[],["a"]]}"#,
            "* /a: an alternative without scopes beside others: any valid token would pass",
        ),
        (r#"{"path":"/a","any_of":["a"]}"#, "routes[1] /a: invalid type: string \"a\", expected a sequence"),
        (r#"{"path":"/a","any_of":[["a b"]]}"#, "* /a: \"a b\" is not a scope (RFC 6749 §3.3)"),
        (r#"{"path":"/a","any_of":[[""]]}"#, "* /a: \"\" is not a scope (RFC 6749 §3.3)"),
        (r#"{"path":"/a","any_of":[["ä"]]}"#, "* /a: \"ä\" is not a scope (RFC 6749 §3.3)"),
        (r#"{"path":"/a","any_of":[["a"]],"audience":[]}"#, "routes[1] /a: `audience` is empty"),
        (r#"{"path":"/a","any_of":[["a"]],"audience":""}"#, "* /a: an empty audience"),
        (r#"{"path":"/a","any_of":[["a"]],"audience":["x",""]}"#, "* /a: an empty audience"),
        (
            r#"{"path":"/a","any_of":[["a"]],"audience":7}"#,
            "routes[1] /a: data did not match any variant of untagged enum OneOrMore",
        ),
        (
            r#"{"path":"/a","any_of":[["a"]],"max_status_age":-1}"#,
            "routes[1] /a: invalid value: integer `-1`, expected u64",
        ),
        (
            r#"{"path":"/a","any_of":[["a"]],"on_outage":"allow"}"#,
            "routes[1] /a: \"allow\" is neither \"deny\" nor \"accept-stale:SECONDS\"",
        ),
        (
            r#"{"path":"/a","any_of":[["a"]],"on_outage":"accept-stale:"}"#,
            "routes[1] /a: \"accept-stale:\" is neither \"deny\" nor \"accept-stale:SECONDS\"",
        ),
        (
            r#"{"path":"/a","any_of":[["a"]],"on_outage":"accept-stale:-5"}"#,
            "routes[1] /a: \"accept-stale:-5\" is neither \"deny\" nor \"accept-stale:SECONDS\"",
        ),
        (r#"{"path":"a","any_of":[["a"]]}"#, "* a: a path begins with a slash"),
        (
            r#"{"path":"/a//b","any_of":[["a"]]}"#,
            "* /a//b: an ambiguous path (repeated slashes, dot segments, encodings) is never matched",
        ),
        (r#"{"path":"/ok","public":true}"#, "* /ok conflicts with * /ok: both match the same paths"),
        (r#"{"path":"/ok","methods":["GET"],"public":true}"#, "accepted"),
        (r#""/a""#, "invalid type: string \"/a\", expected a route at line 1 column 66"),
        ("null", "invalid type: null, expected a route at line 1 column 66"),
    ];
    for (entry, expected) in rows {
        let complaint = complaint(entry);
        let complaint = complaint.strip_prefix("not a route table: ").unwrap_or(&complaint);
        let complaint = if complaint.starts_with("accepted:") { "accepted" } else { complaint };
        assert_eq!(complaint, expected, "{entry}");
    }
}

#[test]
fn a_file_that_is_no_table_is_refused_threat_32() {
    let rows = [
        ("", "EOF while parsing"),
        ("[]", "invalid"),
        ("{}", "missing field `otherwise`"),
        (r#"{"routes":[]}"#, "missing field `otherwise`"),
        (r#"{"otherwise":"deny"}"#, "missing field `routes`"),
        (r#"{"otherwise":"allow","routes":[]}"#, "unknown variant `allow`, expected `deny` or `authenticated`"),
        (r#"{"otherwise":"deny","routes":[],"default":"allow"}"#, "unknown field `default`"),
        (r#"{"otherwise":"deny","otherwise":"authenticated","routes":[]}"#, "duplicate field `otherwise`"),
        (r#"{"otherwise":"deny","routes":[],"routes":[]}"#, "duplicate field `routes`"),
        (r#"{"otherwise":"deny","routes":[],"implies":{"a":["b c"]}}"#, "\"b c\" is not a scope"),
        (r#"{"otherwise":"deny","routes":[],"implies":{"a":["b"],"a":["c"]}}"#, "`a` stands twice"),
        (r#"{"otherwise":"deny","routes":[]} trailing"#, "trailing characters"),
    ];
    for (file, expected) in rows {
        let error = RouteTable::from_json(file).map(|table| table.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn a_condition_is_code_and_is_not_silently_left_out_of_a_file() {
    let table = RouteTable::builder().get("/a", Requirement::scope("a").that("is nobody", |_| false));
    let error = serde_json::to_string(&table.otherwise(Unlisted::Deny).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "GET /a: the condition \"is nobody\" is code and cannot be written");
}

#[test]
fn freshness_without_anybody_to_ask_names_the_route_threat_32() {
    let keys = KeySet::from_json(TestKey::shared(portcullis::Algorithm::ES256).jwk().to_string().as_bytes()).unwrap();
    let issuer = || Issuer::with_keys("https://idp.example", KeySource::set(keys.clone())).audience("a");
    let file = |age: &str| {
        let payments = r#""path":"/payments","methods":["POST"],"any_of":[["payments:write","mfa"]]"#;
        format!(r#"{{"otherwise":"deny","routes":[{{"path":"/healthz","public":true}},{{{payments}{age}}}]}}"#)
    };
    for (age, is_refused) in [(r#","max_status_age":0"#, true), (r#","max_status_age":30"#, true), ("", false)] {
        let routes = RouteTable::from_json(&file(age)).unwrap();
        let built = Authorizer::builder().issuer(issuer()).routes(routes).build();
        match built {
            Err(ConfigError::NoStatusSource { route, .. }) if is_refused => assert_eq!(route, "POST /payments"),
            Ok(_) if !is_refused => {}
            other => panic!("{age}: {other:?}"),
        }
    }
}
