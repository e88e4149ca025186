//! A route table as data: JSON (or whatever serde reads) → [`RouteTable`], and back.

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use http::Method;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::MapDeserializer},
    ser::Error as _,
};
use serde_json::Value;

use super::{
    Preflight, Requirement, RouteTable, RouteTableError, Unlisted,
    requirement::Access,
    route_table::{Methods, Route},
};
use crate::status::{Freshness, OnOutage};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<E> {
    otherwise: Otherwise,
    #[serde(default, skip_serializing_if = "is_false")]
    public_preflight: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "each_once")]
    implies: BTreeMap<String, Vec<String>>,
    routes: Vec<E>,
}

/// An entry whose path is known, so that whatever else is wrong with it can be told with its name.
struct Members(Vec<(String, Value)>);

impl Members {
    fn path(&self) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == "path").and_then(|(_, path)| path.as_str())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        members(deserializer, "a route").map(Self)
    }
}

/// A map, with members that stand twice: of two such words on a route, neither is to be guessed at.
fn members<'de, V, D>(deserializer: D, what: &'static str) -> Result<Vec<(String, V)>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct All<V>(&'static str, PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for All<V> {
        type Value = Vec<(String, V)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = map.next_entry()? {
                all.push(member);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_map(All(what, PhantomData))
}

fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let mut implies = BTreeMap::new();
    for (scope, included) in members(deserializer, "scopes, each with those that it includes")? {
        if let Some((scope, _)) = implies.get_key_value(&scope) {
            return Err(D::Error::custom(format_args!("implies: `{scope}` stands twice")));
        }
        implies.insert(scope, included);
    }
    Ok(implies)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Deny,
    Authenticated,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_false")]
    public: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    optional: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any_of: Option<Vec<Vec<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<OneOrMore>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_status_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_outage: Option<OnOutage>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl RouteTable {
    /// Reads a table from JSON.
    ///
    /// ```
    /// # use portcullis::RouteTable;
    /// let routes = RouteTable::from_json(r#"{
    ///   "otherwise": "deny",
    ///   "routes": [
    ///     { "path": "/healthz",   "public": true },
    ///     { "path": "/api/read",  "methods": ["GET"],  "any_of": [["read"]] },
    ///     { "path": "/payments",  "methods": ["POST"], "any_of": [["payments:write", "mfa"]], "max_status_age": 0 }
    ///   ]
    /// }"#)?;
    /// # Ok::<_, portcullis::RouteTableError>(())
    /// ```
    ///
    /// # Errors
    /// Where the text is not such a table; the error names the entry and what is wrong with it.
    pub fn from_json(json: &str) -> Result<Self, RouteTableError> {
        let file: File<Members> =
            serde_json::from_str(json).map_err(|error| RouteTableError::File(error.to_string()))?;
        Self::try_from(file)
    }
}

impl TryFrom<File<Members>> for RouteTable {
    type Error = RouteTableError;

    fn try_from(file: File<Members>) -> Result<Self, RouteTableError> {
        let mut builder = Self::builder();
        if file.public_preflight {
            builder = builder.preflight(Preflight::Public);
        }
        for (scope, included) in &file.implies {
            builder = builder.implies(scope, included.iter().map(String::as_str));
        }
        for (position, members) in file.routes.into_iter().enumerate() {
            let name = members.path().unwrap_or("(no path)").to_owned();
            let complain = |what: String| RouteTableError::File(format!("routes[{position}] {name}: {what}"));
            let members: MapDeserializer<'_, _, serde_json::Error> = MapDeserializer::new(members.0.into_iter());
            let entry = Entry::deserialize(members).map_err(|error| complain(error.to_string()))?;
            let (methods, path, requirement) = entry.read().map_err(|what| complain(what.to_owned()))?;
            builder = builder.push(methods, &path, requirement);
        }
        builder.otherwise(match file.otherwise {
            Otherwise::Deny => Unlisted::Deny,
            Otherwise::Authenticated => Unlisted::Authenticated,
        })
    }
}

impl Entry {
    fn read(self) -> Result<(Methods, String, Requirement), &'static str> {
        let methods = match self.methods {
            None => Methods::Any,
            Some(names) => {
                let known = |name: String| match name.parse::<Method>() {
                    // Methods are case-sensitive; `get` would parse, and never match.
                    Ok(method) if !name.bytes().any(|byte| byte.is_ascii_lowercase()) => Ok(method),
                    _ => Err("not a method (they are written in capitals)"),
                };
                Methods::These(names.into_iter().map(known).collect::<Result<_, _>>()?)
            }
        };
        let mut requirement = match (self.public, self.optional, self.any_of.is_some()) {
            (true, false, false) => Requirement::public(),
            (false, true, _) => Requirement::optional(),
            (false, false, true) => Requirement::authenticated(),
            (false, false, false) => return Err("says neither `public` nor `any_of` nor `optional`"),
            (true, true, _) => return Err("`public` and `optional` exclude each other"),
            (true, _, true) => return Err("`public` and `any_of` exclude each other"),
        };
        if let Some(alternatives) = self.any_of {
            let boxed = |scopes: Vec<String>| scopes.into_iter().map(String::into_boxed_str).collect();
            requirement.any_of = alternatives.into_iter().map(boxed).collect();
        }
        let audiences = match self.audience {
            None => Vec::new(),
            Some(OneOrMore::One(audience)) => vec![audience],
            Some(OneOrMore::More(audiences)) if audiences.is_empty() => return Err("`audience` is empty"),
            Some(OneOrMore::More(audiences)) => audiences,
        };
        for audience in &audiences {
            requirement = requirement.audience(audience);
        }
        if let Some(seconds) = self.max_status_age {
            requirement = requirement.max_status_age(Duration::from_secs(seconds));
        }
        requirement.on_outage = self.on_outage;
        Ok((methods, self.path, requirement))
    }

    fn write(route: &Route) -> Result<Self, String> {
        let requirement = &route.requirement;
        if let Some(condition) = requirement.conditions.first() {
            return Err(format!("{route}: the condition {:?} is code and cannot be written", condition.name));
        }
        let any_of = || requirement.any_of.iter().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
        let is_plain = !requirement.any_of.iter().any(|scopes| !scopes.is_empty());
        Ok(Self {
            path: route.path.to_string(),
            methods: match &route.methods {
                Methods::Any => None,
                Methods::These(methods) => Some(methods.iter().map(Method::to_string).collect()),
            },
            public: requirement.access == Access::Public,
            optional: requirement.access == Access::Optional,
            any_of: (requirement.access == Access::Required || !is_plain).then(|| any_of().collect()),
            audience: requirement
                .audiences
                .as_ref()
                .map(|all| OneOrMore::More(all.iter().map(|audience| audience.to_string()).collect())),
            max_status_age: match requirement.freshness {
                Freshness::Cached => None,
                Freshness::MaxAge(age) => Some(age.as_secs()),
                Freshness::EveryRequest => Some(0),
            },
            on_outage: requirement.on_outage,
        })
    }
}

impl<'de> Deserialize<'de> for RouteTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(File::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for RouteTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut implies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (scope, included) in self.declared_implications() {
            implies.entry(scope.to_string()).or_default().extend(included.iter().map(|scope| scope.to_string()));
        }
        File {
            otherwise: match self.unlisted() {
                Unlisted::Deny => Otherwise::Deny,
                Unlisted::Authenticated => Otherwise::Authenticated,
            },
            public_preflight: self.has_public_preflight(),
            implies,
            routes: self.routes().iter().map(Entry::write).collect::<Result<_, _>>().map_err(S::Error::custom)?,
        }
        .serialize(serializer)
    }
}

impl Serialize for OnOutage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Deny => serializer.serialize_str("deny"),
            Self::AcceptStale(age) => serializer.collect_str(&format_args!("accept-stale:{}", age.as_secs())),
        }
    }
}

impl<'de> Deserialize<'de> for OnOutage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
