//! Both generations, claim by claim: what is read, and what is refused.

use serde_json::{Value, json};

use super::*;

fn legacy() -> Value {
    json!({
        "iss": "http://127.0.0.1:53001", "sub": "user_1", "jti": "tok_1", "iat": 1, "exp": 2,
        "agt": "did:grantex:ag_1", "dev": "dev_1", "scp": ["calendar:read", "payments:initiate:max_500"], "grnt": "grnt_1",
    })
}

fn standard() -> Value {
    json!({
        "iss": "https://grantex.dev", "sub": "user_1", "aud": "https://calendar.example", "jti": "tok_1", "iat": 1, "exp": 2,
        "client_id": "ag_1", "scope": "tool:acme_kyb:read tool:acme_kyb:write",
        "act": { "sub": "did:grantex:ag_ORCHESTRATOR", "act": { "sub": "did:grantex:ag_INTAKE" } },
        "authorization_details": [
            { "type": "urn:grantex:tools:v1", "connector": "acme_kyb", "tools": ["a"], "caps": {}, "amount": 7 },
            { "type": "urn:grantex:params:oauth:authorization-details:budget", "amount": "10.50", "currency": "USD" },
        ],
        "urn:grantex:grant": {
            "grant_id": "grnt_1", "agent_did": "did:grantex:ag_1", "developer_id": "dev_1",
            "parent_grant_id": "grnt_0", "delegation_depth": 2, "webauthn": null,
        },
    })
}

/// The aliases that a server adds to the second for those who read the first.
fn aliases() -> Value {
    json!({
        "scp": ["tool:acme_kyb:read", "tool:acme_kyb:write"], "agt": "did:grantex:ag_1", "dev": "dev_1", "grnt": "grnt_1",
        "parentAgt": "did:grantex:ag_ORCHESTRATOR", "parentGrnt": "grnt_0", "delegationDepth": 2, "bdg": 10.5,
    })
}

/// `claims` with these members set, nested ones by their JSON pointer; without those that are set to `"-"`.
fn with(mut claims: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        let (parent, name) = match name.rsplit_once('/') {
            Some((parent, name)) => (claims.pointer_mut(parent).unwrap(), name),
            None => (&mut claims, *name),
        };
        let members = parent.as_object_mut().unwrap();
        if value == "-" {
            members.remove(name)
        } else {
            members.insert(name.to_owned(), value.clone())
        };
    }
    claims
}

fn read(claims: &Value) -> Result<GrantexClaims, serde_json::Error> {
    serde_json::from_str(&claims.to_string())
}

fn actors(depth: usize) -> Value {
    (1..depth).fold(
        json!({ "sub": "did:grantex:ag_0" }),
        |act, number| json!({ "sub": format!("did:grantex:ag_{number}"), "act": act }),
    )
}

#[test]
fn both_generations_read_the_same() {
    let root = read(&legacy()).unwrap();
    assert_eq!((root.generation(), root.delegation_depth()), (Generation::Legacy, 0));
    assert_eq!((root.parent_agent(), root.parent_grant_id(), root.knows_all_actors()), (None, None, true));
    assert_eq!(root.budgets().count(), 0);

    let delegated = [
        ("parentAgt", json!("did:grantex:ag_0")),
        ("parentGrnt", json!("grnt_0")),
        ("delegationDepth", json!(2)),
        ("bdg", json!(99.5)),
    ];
    let old = read(&with(legacy(), &delegated)).unwrap();
    assert_eq!((old.delegation_depth(), old.parent_agent()), (2, Some("did:grantex:ag_0")));
    assert!(!old.knows_all_actors(), "only the direct parent is named");
    let budgets: Vec<_> = old.budgets().map(|budget| (budget.amount(), budget.currency())).collect();
    assert_eq!(budgets, [("99.5", None)]);

    for claims in [standard(), with(standard(), &pairs(&aliases()))] {
        let new = read(&claims).unwrap();
        assert_eq!((new.generation(), new.delegation_depth()), (Generation::Standard, 2));
        let previous: Vec<_> = new.previous_actors().collect();
        assert_eq!(previous, ["did:grantex:ag_ORCHESTRATOR", "did:grantex:ag_INTAKE"]);
        assert_eq!(new.parent_agent(), Some("did:grantex:ag_ORCHESTRATOR"));
        assert_eq!(new.parent_grant_id(), Some("grnt_0"));
        assert!(new.knows_all_actors());
        let budgets: Vec<_> = new.budgets().map(|budget| (budget.amount(), budget.currency())).collect();
        assert_eq!(budgets, [("10.50", Some("USD"))]);
    }
    for claims in [root, old, read(&standard()).unwrap()] {
        assert_eq!((claims.grant_id(), claims.token_id(), claims.principal()), ("grnt_1", "tok_1", "user_1"));
        assert_eq!(
            (claims.agent_did(), claims.agent_id(), claims.developer_id()),
            ("did:grantex:ag_1", "ag_1", "dev_1")
        );
        let shown = format!("{claims:?} {:?}", claims.budgets().next());
        assert!(
            ["grnt_", "tok_", "user_", "ag_", "dev_", "10", "99"].iter().all(|value| !shown.contains(value)),
            "{shown}"
        );
    }
}

fn pairs(claims: &Value) -> Vec<(&str, Value)> {
    claims.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

#[test]
fn a_claim_that_is_missing_is_not_made_up() {
    for name in ["sub", "jti", "iat", "agt", "dev", "scp", "grnt"] {
        assert!(read(&with(legacy(), &[(name, json!("-"))])).is_err(), "legacy without {name}");
    }
    for name in [
        "sub",
        "jti",
        "iat",
        "scope",
        "/urn:grantex:grant/grant_id",
        "/urn:grantex:grant/agent_did",
        "/urn:grantex:grant/developer_id",
    ] {
        assert!(read(&with(standard(), &[(name, json!("-"))])).is_err(), "0.6 without {name}");
        // What the other generation calls it does not stand in for it.
        let aliased = with(standard(), &pairs(&aliases()));
        assert!(read(&with(aliased, &[(name, json!("-"))])).is_err(), "0.6 with aliases without {name}");
    }
    for name in [
        "client_id",
        "act",
        "authorization_details",
        "/urn:grantex:grant/parent_grant_id",
        "/urn:grantex:grant/delegation_depth",
    ] {
        assert!(read(&with(standard(), &[(name, json!("-"))])).is_ok(), "0.6 without {name}");
    }
    // What 0.6 says in its own way is not read of a legacy token.
    let mixed = with(legacy(), &[("scp", json!("-")), ("scope", json!("calendar:read"))]);
    assert!(read(&mixed).is_err());
}

#[test]
fn a_claim_and_its_alias_that_disagree_are_refused() {
    for (name, value) in [
        ("agt", json!("did:grantex:ag_OTHER")),
        ("dev", json!("dev_OTHER")),
        ("grnt", json!("grnt_OTHER")),
        ("parentAgt", json!("did:grantex:ag_OTHER")),
        ("parentAgt", json!("did:grantex:ag_INTAKE")),
        ("parentGrnt", json!("grnt_OTHER")),
        ("delegationDepth", json!(1)),
        ("client_id", json!("ag_OTHER")),
        ("client_id", json!("did:grantex:ag_1")),
        ("bdg", json!(10)),
        ("bdg", json!(1050)),
    ] {
        assert!(read(&with(standard(), &[(name, value.clone())])).is_err(), "{name} {value}");
    }
    assert!(read(&with(legacy(), &[("client_id", json!("ag_OTHER"))])).is_err());
    assert!(read(&with(legacy(), &[("client_id", json!("ag_1"))])).is_ok());
    let act = json!({ "sub": "did:grantex:ag_OTHER" });
    assert!(read(&with(legacy(), &[("parentAgt", json!("did:grantex:ag_0")), ("act", act)])).is_err());
}

#[test]
fn a_claim_of_another_type_is_never_an_absent_one_threat_2() {
    let words = ["sub", "jti", "agt", "dev", "grnt", "parentAgt", "parentGrnt", "client_id"];
    let members = ["grant_id", "agent_did", "developer_id", "parent_grant_id"];
    let nested: Vec<_> = members.iter().map(|name| format!("/urn:grantex:grant/{name}")).collect();
    for name in words.into_iter().chain(nested.iter().map(String::as_str)) {
        for value in [json!(null), json!(""), json!(7), json!(true), json!(["a"]), json!({})] {
            let base = if name.starts_with('/') { standard() } else { legacy() };
            assert!(read(&with(base, &[(name, value.clone())])).is_err(), "{name} {value}");
        }
    }
    for name in ["delegationDepth", "/urn:grantex:grant/delegation_depth"] {
        let base = || with(standard(), &[("/urn:grantex:grant/delegation_depth", json!("-"))]);
        assert!(read(&with(base(), &[(name, json!(2))])).is_ok());
        for value in [
            json!(null),
            json!(-1),
            json!(2.0),
            json!(2.5),
            json!("2"),
            json!(true),
            json!([2]),
            json!(4_294_967_296_u64),
        ] {
            assert!(read(&with(base(), &[(name, value.clone())])).is_err(), "{name} {value}");
        }
    }
    let grant = standard()["urn:grantex:grant"].clone();
    for (name, value) in [
        ("scope", json!(null)),
        ("scope", json!(["a"])),
        ("scope", json!(7)),
        ("scp", json!(null)),
        ("scp", json!("tool:acme_kyb:read tool:acme_kyb:write")),
        ("scp", json!([null])),
        ("scp", json!([7])),
        ("iat", json!(null)),
        ("iat", json!("1")),
        ("iat", json!(true)),
        ("bdg", json!(null)),
        ("bdg", json!("10")),
        ("bdg", json!([])),
        ("act", json!(null)),
        ("act", json!("did:grantex:ag_0")),
        ("act", json!({})),
        ("act", json!({ "iss": "x" })),
        ("act", json!({ "sub": null })),
        ("act", json!({ "sub": "" })),
        ("act", json!({ "sub": "did:grantex:ag_0", "act": null })),
        ("act", json!({ "sub": "did:grantex:ag_0", "act": {} })),
        ("act", json!(["did:grantex:ag_ORCHESTRATOR"])),
        ("act", json!([{ "sub": "did:grantex:ag_0" }])),
        ("urn:grantex:grant", json!(null)),
        ("urn:grantex:grant", json!("grnt_1")),
        ("urn:grantex:grant", json!({})),
        ("urn:grantex:grant", json!([grant])),
        ("urn:grantex:grant", json!(["grnt_1", "did:grantex:ag_1", "dev_1", "grnt_0", 2])),
        ("authorization_details", json!(null)),
        ("authorization_details", json!({})),
        ("authorization_details", json!([null])),
        ("authorization_details", json!([{}])),
        ("authorization_details", json!([["urn:grantex:tools:v1"]])),
        ("authorization_details", json!([{ "type": BUDGET }])),
        ("authorization_details", json!([{ "type": BUDGET, "amount": null }])),
        ("authorization_details", json!([{ "type": BUDGET, "amount": "" }])),
        ("authorization_details", json!([{ "type": BUDGET, "amount": 1, "currency": null }])),
    ] {
        assert!(read(&with(standard(), &[(name, value.clone())])).is_err(), "{name} {value}");
    }
    assert!(serde_json::from_str::<GrantexClaims>("[]").is_err());
    let text = legacy().to_string();
    for twice in [r#""grnt":"grnt_2""#, r#""sub":"user_1""#, r#""delegationDepth":1,"delegationDepth":2"#] {
        assert!(
            serde_json::from_str::<GrantexClaims>(&format!("{},{twice}}}", &text[..text.len() - 1])).is_err(),
            "{twice}"
        );
    }
}

const BUDGET: &str = "urn:grantex:params:oauth:authorization-details:budget";

#[test]
fn an_agent_is_one_of_grantexs() {
    for did in ["ag_1", "did:grantex:", "did:web:agents.example", "DID:grantex:ag_1", "did:grantexx:ag_1"] {
        assert!(read(&with(legacy(), &[("agt", json!(did))])).is_err(), "{did}");
    }
}

#[test]
fn of_what_is_said_of_the_depth_the_greatest_counts() {
    const DEPTH: &str = "/urn:grantex:grant/delegation_depth";
    const PARENT: &str = "/urn:grantex:grant/parent_grant_id";
    // How many actors, which depth, whether a parent grant; the depth that counts, and whether all actors are known.
    for (named, claimed, parent, expected, is_known) in [
        (0, json!("-"), false, 0, true),
        (0, json!(0), false, 0, true),
        (0, json!("-"), true, 1, false),
        (0, json!(0), true, 1, false),
        (0, json!(3), true, 3, false),
        (1, json!("-"), false, 1, true),
        (1, json!(0), true, 1, true),
        (1, json!(2), true, 2, false),
        (2, json!(1), true, 2, true),
        (10, json!(10), true, 10, true),
    ] {
        let act = if named == 0 { json!("-") } else { actors(named) };
        let parent = if parent { json!("grnt_0") } else { json!("-") };
        let claims = with(standard(), &[("act", act), (DEPTH, claimed.clone()), (PARENT, parent)]);
        let claims = read(&claims).unwrap();
        let what = format!("{named} actors, depth {claimed}");
        assert_eq!((claims.delegation_depth(), claims.knows_all_actors()), (expected, is_known), "{what}");
    }
    assert!(read(&with(standard(), &[("act", actors(11))])).is_err());
    assert!(read(&with(standard(), &[("act", actors(1000))])).is_err(), "and no stack overflows");
}
