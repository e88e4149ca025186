//! What stops a service from starting, and that the error says so (threat 32).

use std::{error::Error, time::Duration};

use portcullis::{
    Algorithm, Authorizer, AuthorizerBuilder, Issuer, KeySet, KeySource, Requirement, RouteTable, Unlisted,
    VerificationKey,
    testing::{TestKey, TokenBuilder},
};
use serde_json::json;

/// An error and what is below it, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let below = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    below.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

type Attempt = Result<Authorizer, Box<dyn Error>>;

/// The whole message is `expected` where that is a sentence, or contains it.
fn check(what: &str, attempt: impl FnOnce() -> Attempt, expected: &[&str]) {
    let Err(error) = attempt() else { panic!("{what}: accepted") };
    let message = chain(&*error);
    for part in expected {
        assert!(message.contains(part), "{what}: {message:?} does not say {part:?}");
    }
    for secret in [SECRET, "hunter2"] {
        assert!(!message.contains(secret) && !format!("{error:?}").contains(secret), "{what}: {message} tells");
    }
}

const METHODS: [http::Method; 2] = [http::Method::POST, http::Method::GET];
const SECRET: &str = "correct-horse";
const IDP: &str = "https://idp.example";

fn routes() -> RouteTable {
    RouteTable::builder().otherwise(Unlisted::Deny).unwrap()
}

fn good() -> Issuer {
    Issuer::discover(IDP).audience(TokenBuilder::AUDIENCE)
}

fn with_keys(keys: KeySource) -> Issuer {
    Issuer::with_keys(IDP, keys).audience(TokenBuilder::AUDIENCE)
}

fn key() -> KeySet {
    KeySet::from_json(TestKey::shared(Algorithm::ES256).jwk().to_string().as_bytes()).unwrap()
}

fn build(builder: AuthorizerBuilder) -> Attempt {
    Ok(builder.build()?)
}

/// An authorizer of these issuers.
fn of(issuers: impl IntoIterator<Item = Issuer>) -> Attempt {
    build(issuers.into_iter().fold(Authorizer::builder().routes(routes()), AuthorizerBuilder::issuer))
}

#[tokio::test]
async fn issuers_that_cannot_be_told_apart_or_trusted_threat_32() {
    let audience = TokenBuilder::AUDIENCE;
    let nameless = || Issuer::without_identifier(KeySource::set(key())).audience(audience);
    let named = |identifier: &str| Issuer::with_keys(identifier, KeySource::set(key())).audience(audience);
    check("none", || of([]), &["no issuer is configured"]);
    check("twice", || of([good(), named("https://other.example"), good()]), &[IDP, "twice"]);
    check("nameless, first", || of([nameless(), good()]), &["without identifier must be the only one"]);
    check("nameless, last", || of([good(), nameless()]), &["without identifier must be the only one"]);
    check("nameless twice", || of([nameless(), nameless()]), &["without identifier must be the only one"]);
    check("empty", || of([named("")]), &["not an issuer identifier"]);
    check("blank", || of([named(" ")]), &["not an issuer identifier"]);
    for clear in ["http://idp.example", "HTTP://idp.example", "http://10.0.0.1", "http://localhost.evil.example"] {
        check("in the clear", || of([named(clear)]), &[clear, "must be https"]);
        check("in the clear", || of([Issuer::discover(clear).audience(audience)]), &[clear, "must be https"]);
    }
    for no_url in ["idp.example", "ftp://idp.example", "https://", "/idp"] {
        check("no URL", || of([Issuer::discover(no_url).audience(audience)]), &[no_url, "not an absolute http(s) URL"]);
    }
    let undiscoverable = || Issuer::without_identifier(KeySource::discovery()).audience(audience);
    check("nowhere to discover", || of([undiscoverable()]), &["discovery needs an issuer"]);
}

#[tokio::test]
async fn rules_that_let_too_much_or_nothing_pass_threat_32() {
    let none: [&str; 0] = [];
    check("no audience", || of([Issuer::discover(IDP).audiences(none)]), &[IDP, "empty audience"]);
    check("empty audience", || of([Issuer::discover(IDP).audience("")]), &[IDP, "empty audience"]);
    check("one empty audience", || of([Issuer::discover(IDP).audiences(["a", ""])]), &[IDP, "empty audience"]);
    check("no algorithm", || of([good().algorithms([])]), &[IDP, "no algorithm"]);
    check("leeway", || of([good().leeway(Duration::from_secs(301))]), &[IDP, "301s", "five minutes"]);
    check("no age", || of([good().max_token_age(Duration::ZERO)]), &[IDP, "maximum token age of zero"]);
    assert!(of([good().leeway(Duration::from_secs(300))]).is_ok());
}

#[tokio::test]
async fn secrets_beside_published_keys_threat_32() {
    let hs = [Algorithm::RS256, Algorithm::HS256];
    let published = "cannot be used with published keys";
    check("discovery", || of([good().algorithms(hs)]), &[IDP, "HS256", published]);
    check("URL", || of([with_keys(KeySource::url("https://idp.example/jwks")).algorithms(hs)]), &["HS256", published]);
    check("file", || of([with_keys(KeySource::file("jwks.json")).algorithms(hs)]), &["HS256", published]);
    let jwk = TestKey::shared(Algorithm::RS256).jwk().to_string();
    check("JWK", || of([with_keys(KeySource::json(jwk)).algorithms(hs)]), &["HS256", published]);
    let oct = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": SECRET }] }).to_string();
    check("oct", || of([with_keys(KeySource::json(oct))]), &[IDP, "keys[0]", "a symmetric key in a key set"]);
    let only_hs = || with_keys(KeySource::set(key())).algorithms([Algorithm::HS256]);
    check("another algorithm", || of([only_hs()]), &[IDP, "no key of an allowed algorithm (HS256)"]);
}

#[tokio::test]
async fn keys_that_cannot_be_used_threat_32() {
    let at = |url: &'static str| move || of([with_keys(KeySource::url(url))]);
    check("in the clear", at("http://idp.example/jwks"), &[IDP, "http://idp.example/jwks", "must be https"]);
    check("inside, in the clear", at("http://169.254.169.254/jwks"), &["169.254.169.254", "must be https"]);
    check("no URL", at("jwks"), &["\"jwks\"", "not an absolute"]);
    check("a password", at("https://user:hunter2@idp.example/jwks"), &["idp.example/jwks", "a password"]);
    check("a password, no URL", at("https://user:hunter2@idp.example:99999/jwks"), &["idp.example:99999/jwks"]);
    check("a password, in the clear", at("http://user:hunter2@idp.example/jwks"), &["idp.example/jwks"]);
    check("no file", || of([with_keys(KeySource::file("no/such.jwks"))]), &[IDP, "no/such.jwks"]);
    check("no set", || of([with_keys(KeySource::json("hunter2"))]), &[IDP, "not a JWK set"]);
    let weak = json!({ "kty": "RSA", "n": "_w", "e": "AQAB" }).to_string();
    check("weak", || of([with_keys(KeySource::json(weak))]), &[IDP, "an RSA key of 8 bits"]);
    let private = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA", "d": SECRET }).to_string();
    check("private", || of([with_keys(KeySource::json(private))]), &[IDP, "a private key where a public one belongs"]);
    let not_allowed = || with_keys(KeySource::json(TestKey::shared(Algorithm::ES256).jwk().to_string()));
    check("not allowed", || of([not_allowed().algorithms([Algorithm::RS256])]), &["ES256 is not an allowed algorithm"]);
    check("no keys", || of([with_keys(KeySource::set(KeySet::default()))]), &[IDP, "no algorithm"]);

    // These fail before there is an issuer to name.
    let secret = |text: String| {
        move || -> Attempt {
            let key = VerificationKey::from_secret(Algorithm::HS256, text.as_bytes())?;
            of([with_keys(KeySource::set(KeySet::new([key])))])
        }
    };
    let key_text = "the text of a public key";
    check("short", secret(SECRET.to_owned()), &["HS256 needs at least 32", "a secret of 13 bytes"]);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{SECRET}{SECRET}\n-----END PUBLIC KEY-----\n");
    check("PEM", secret(pem.clone()), &[key_text]);
    check("PEM after a blank line", secret(format!("\n \t{pem}")), &[key_text]);
    check("JWK", secret(TestKey::shared(Algorithm::RS256).jwk().to_string()), &[key_text]);
    check("JWK, indented", secret(format!("{:#}", TestKey::shared(Algorithm::RS256).jwk())), &[key_text]);
    check("SSH", secret(format!("ssh-ed25519 {SECRET}{SECRET}{SECRET}")), &[key_text]);
    let private = pem.replace("PUBLIC", "PRIVATE");
    let private =
        || -> Attempt { Err(VerificationKey::from_pem(Algorithm::ES256, private.as_bytes()).unwrap_err().into()) };
    check("private PEM", private, &["not PEM text"]);
}

#[tokio::test]
async fn routes_that_contradict_themselves_or_demand_the_impossible_threat_32() {
    let with_routes = |table: RouteTable| build(Authorizer::builder().issuer(good()).routes(table));
    let table = |write: fn(portcullis::RouteTableBuilder) -> portcullis::RouteTableBuilder| {
        move || -> Attempt { with_routes(write(RouteTable::builder()).otherwise(Unlisted::Deny)?) }
    };
    let json = |text: &'static str| move || -> Attempt { with_routes(RouteTable::from_json(text)?) };
    check("no routes", || build(Authorizer::builder().issuer(good())), &["no routes are configured"]);
    check(
        "fresh status",
        table(|t| t.post("/payments", Requirement::scope("pay").status_on_every_request())),
        &["/payments", "POST", "nobody can be asked"],
    );
    check(
        "status of an age",
        table(|t| t.get("/reports", Requirement::scope("read").max_status_age(Duration::from_secs(9)))),
        &["/reports", "nobody can be asked"],
    );
    check("two scopes as one", table(|t| t.get("/x", Requirement::scope("a b"))), &["/x", "\"a b\""]);
    check("an empty scope", table(|t| t.get("/x", Requirement::scope(""))), &["/x", "\"\""]);
    check("a quoted scope", table(|t| t.get("/x", Requirement::any_of(["a", "b\""]))), &["/x", "b\\\""]);
    check("no way to pass", table(|t| t.get("/x", Requirement::any_of([]))), &["/x", "nobody could pass"]);
    check("a bad implication", table(|t| t.implies("admin", ["a b"])), &["implication", "\"a b\""]);
    let public = "public, and yet demands";
    check("public, with scopes", table(|t| t.get("/x", Requirement::public().or_all_of(["a"]))), &["/x", public]);
    check("public, with an audience", table(|t| t.get("/x", Requirement::public().audience("a"))), &["/x", public]);
    check(
        "public, in a file",
        json(r#"{"otherwise":"deny","routes":[{"path":"/x","public":true,"any_of":[["a"]]}]}"#),
        &["/x", "`public` and `any_of`"],
    );
    check("no otherwise", json(r#"{"routes":[]}"#), &["otherwise"]);
    check(
        "the same route twice",
        table(|t| t.get("/a/{id}", Requirement::scope("one")).on(METHODS, "/a/{id}", Requirement::scope("two"))),
        &["POST", "GET /a/{id}", "conflicts with"],
    );
    check(
        "the same route by other names",
        table(|t| t.get("/a/{id}", Requirement::scope("one")).post("/a/{name}", Requirement::scope("two"))),
        &["/a/{id}", "/a/{name}", "conflicts with"],
    );
    check("no slash", table(|t| t.get("x", Requirement::scope("a"))), &["x", "begins with a slash"]);
    check("never matched", table(|t| t.get("/a//b", Requirement::scope("a"))), &["/a//b", "never matched"]);
}

#[tokio::test]
async fn words_that_cannot_stand_in_an_answer_threat_32() {
    let with = |change: fn(AuthorizerBuilder) -> AuthorizerBuilder| {
        move || build(change(Authorizer::builder().issuer(good()).routes(routes())))
    };
    check("a realm of two lines", with(|b| b.realm("a\r\nSet-Cookie: b")), &["\\r\\n", "is not a realm"]);
    check("a realm beyond ASCII", with(|b| b.realm("café")), &["café", "is not a realm"]);
    check("no realm", with(|b| b.realm("")), &["is not a realm"]);
    check("no URL", with(|b| b.resource("api.example")), &["\"api.example\"", "not a resource identifier"]);
    check("a fragment", with(|b| b.resource("https://api.example/#a")), &["#a", "not a resource identifier"]);
    check("no size", with(|b| b.max_credential_len(0)), &["length of 0 bytes"]);
}

#[tokio::test]
async fn a_requirement_beside_a_handler_is_checked_as_one_of_the_table_threat_32() {
    let authorizer = of([good()]).unwrap();
    for (requirement, expected) in [
        (Requirement::scope("a b"), "\"a b\""),
        (Requirement::scope("pay").status_on_every_request(), "nobody can be asked"),
    ] {
        let error = authorizer.compile(requirement).unwrap_err();
        assert!(chain(&error).contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_source_that_would_never_be_asked_threat_32() {
    use portcullis::status::{Introspection, OpaqueTokens, StatusPolicy};
    let asked = || {
        let client = portcullis::issuer::ClientAuthentication::basic("api", SECRET);
        good().introspection(Introspection::at("https://idp.example/introspect", client))
    };
    let policy = || StatusPolicy::default().only_opaque();
    check("of JWTs alone", || of([asked().status_policy(policy())]), &[IDP, "opaque tokens only", "none are accepted"]);
    let (good, zero, second) = (StatusPolicy::default, Duration::ZERO, Duration::from_secs(1));
    for (policy, expected) in [
        (good().attempt_timeout(zero), "no time to ask in"),
        (good().attempts(0, second, second), "no time to ask in"),
        (good().attempts(1, second, zero), "no time to ask in"),
        (good().breaks(0, second, second), "no failure is allowed"),
        (good().breaks(1, zero, second), "no failure is allowed"),
        (good().breaks(1, 2 * second, second), "the wrong way round"),
        (good().concurrency(0, 9), "no question may be under way"),
        (good().concurrency(9, 8), "no question may be under way"),
        (good().max_bytes(399), "no room for an answer"),
    ] {
        check("numbers", || of([asked().status_policy(policy)]), &[IDP, expected]);
    }
    assert!(of([asked().status_policy(policy()).opaque_tokens(OpaqueTokens::default())]).is_ok());
}
