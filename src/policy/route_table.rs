//! Method + path → [`Requirement`]: deny by default, checked as a whole at start-up.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    Requirement, RouteTableBuilder, ScopeBits,
    path::{Reading, decoded, reading, without_names},
    vocabulary::Vocabulary,
};
use crate::token::ScopeSet;

/// Which requirement each route has.
///
/// ```
/// use portcullis::{Requirement, RouteTable, Unlisted};
///
/// let routes = RouteTable::builder()
///     .get("/healthz", Requirement::public())
///     .get("/agents", Requirement::scope("agents:read"))
///     .post("/agents", Requirement::scope("agents:write"))
///     .any("/audit/{*rest}", Requirement::any_of(["audit:read", "admin:orgs"]))
///     .otherwise(Unlisted::Deny)?;
/// println!("{routes}");
/// # Ok::<_, portcullis::RouteTableError>(())
/// ```
///
/// Patterns are those of matchit 0.8 and axum 0.8. A route that names its method comes before one for any method. HEAD
/// follows GET unless it is listed itself. OPTIONS is a method like any other unless
/// [`preflight`](RouteTableBuilder::preflight) says otherwise; a CORS layer belongs outside of this one.
#[derive(Clone, Debug)]
pub struct RouteTable {
    pub(super) routes: Vec<Route>,
    pub(super) by_pattern: HashMap<Box<str>, usize>,
    /// The same without the names of parameters, which a router may call differently.
    pub(super) by_shape: HashMap<String, usize>,
    pub(super) by_path: matchit::Router<usize>,
    pub(super) by_decoded_path: matchit::Router<usize>,
    pub(super) rules: Vec<PathRules>,
    pub(super) unlisted: Unlisted,
    pub(super) any_valid_token: Arc<Requirement>,
    pub(super) preflight: Option<Arc<Requirement>>,
    pub(super) vocabulary: Arc<Vocabulary>,
    pub(super) declared: Vec<(Box<str>, Vec<Box<str>>)>,
}

/// What happens to a request that no route of the table answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlisted {
    /// It is refused with 403.
    Deny,
    /// It needs any valid token.
    Authenticated,
}

/// How OPTIONS requests are treated that no route lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preflight {
    /// As any other unlisted method. The default.
    #[default]
    AsListed,
    /// Public on every path that the table lists under some method, for services that answer CORS preflight themselves.
    Public,
}

/// One line of a table.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) methods: Methods,
    pub(super) path: Box<str>,
    pub(super) requirement: Arc<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    Any,
    These(Vec<Method>),
}

/// The requirements of one pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct PathRules {
    pub(super) by_method: Vec<(Method, Arc<Requirement>)>,
    pub(super) any: Option<Arc<Requirement>>,
}

impl PathRules {
    fn of(&self, method: &Method) -> Option<&Arc<Requirement>> {
        let named = |wanted: &Method| self.by_method.iter().find(|(name, _)| name == wanted).map(|(_, needs)| needs);
        named(method).or_else(|| if method == Method::HEAD { named(&Method::GET) } else { None }).or(self.any.as_ref())
    }
}

/// Where in the table a request is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location<'r> {
    /// By the pattern that a router has matched: the very text of a route's path.
    Pattern(&'r str),
    /// By the raw path of the request.
    Path(&'r str),
    /// Nowhere: the router has matched nothing, or does not say what.
    Nowhere,
}

/// What a table says to a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Lookup<'t> {
    /// This is required.
    Requirement(&'t Arc<Requirement>),
    /// No route answers to it, and such requests are refused.
    Unlisted,
    /// Its raw path could be read in more than one way.
    Ambiguous,
}

impl RouteTable {
    /// A table to be filled, and closed with [`otherwise`](RouteTableBuilder::otherwise).
    pub fn builder() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// What is required of this request.
    #[must_use]
    pub fn lookup(&self, method: &Method, location: Location<'_>) -> Lookup<'_> {
        let position = match location {
            Location::Pattern(pattern) => {
                let by_shape = || self.by_shape.get(without_names(pattern).as_str());
                self.by_pattern.get(pattern).or_else(by_shape).copied()
            }
            Location::Path(path) => {
                let reading = reading(path);
                if reading == Reading::Ambiguous {
                    return Lookup::Ambiguous;
                }
                let position = find(&self.by_path, path);
                // A service behind us may decode the path: where that is another route, nobody can say which is meant.
                if reading == Reading::Encoded {
                    let decoded = decoded(path);
                    if decoded.is_none_or(|decoded| find(&self.by_decoded_path, &decoded) != position) {
                        return Lookup::Ambiguous;
                    }
                }
                position
            }
            Location::Nowhere => None,
        };
        let rules = position.and_then(|position| self.rules.get(position));
        let preflight = || self.preflight.as_ref().filter(|_| method == Method::OPTIONS && rules.is_some());
        match rules.and_then(|rules| rules.of(method)).or_else(preflight) {
            Some(requirement) => Lookup::Requirement(requirement),
            None => match self.unlisted {
                Unlisted::Deny => Lookup::Unlisted,
                Unlisted::Authenticated => Lookup::Requirement(&self.any_valid_token),
            },
        }
    }

    /// A requirement beside the handler, with the implications between scopes that this table declares.
    pub(crate) fn with_vocabulary(&self, requirement: Requirement) -> Requirement {
        requirement.with_vocabulary(&self.vocabulary)
    }

    /// The scopes of a token in the bits of this table, to be kept with it.
    pub(crate) fn bits(&self, scopes: &ScopeSet) -> ScopeBits {
        self.vocabulary.bits(scopes)
    }

    /// Whether the requirement was prepared by this table, and so says its scopes in the same bits.
    pub(crate) fn shares_bits_with(&self, requirement: &Requirement) -> bool {
        requirement.is_of(&self.vocabulary)
    }

    /// Every requirement of the table.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = (String, &Requirement)> {
        self.routes.iter().map(|route| (route.to_string(), &*route.requirement))
    }

    /// Every scope that the table names, sorted, each once (RFC 9728 §2: `scopes_supported`).
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> = self.routes.iter().flat_map(|route| route.requirement.scopes()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(super) const fn unlisted(&self) -> Unlisted {
        self.unlisted
    }

    pub(super) const fn has_public_preflight(&self) -> bool {
        self.preflight.is_some()
    }

    pub(super) fn declared_implications(&self) -> &[(Box<str>, Vec<Box<str>>)] {
        &self.declared
    }
}

fn find(router: &matchit::Router<usize>, path: &str) -> Option<usize> {
    router.at(path).ok().map(|found| *found.value)
}
