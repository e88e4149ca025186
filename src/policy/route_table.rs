//! Method + path → [`Requirement`]: deny by default, checked as a whole at start-up.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    Requirement, RouteTableError,
    implication::Implications,
    path::{decoded, is_ambiguous, without_names},
};

/// What matchit can tell apart in one path.
const MAX_PARAMETERS: usize = 25;

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
    routes: Vec<Route>,
    by_pattern: HashMap<Box<str>, usize>,
    /// The same without the names of parameters, which a router may call differently.
    by_shape: HashMap<String, usize>,
    by_path: matchit::Router<usize>,
    by_decoded_path: matchit::Router<usize>,
    rules: Vec<PathRules>,
    unlisted: Unlisted,
    any_valid_token: Arc<Requirement>,
    preflight: Option<Arc<Requirement>>,
    implications: Arc<Implications>,
    declared: Vec<(Box<str>, Vec<Box<str>>)>,
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
struct PathRules {
    by_method: Vec<(Method, Arc<Requirement>)>,
    any: Option<Arc<Requirement>>,
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
            Location::Path(path) if is_ambiguous(path) => return Lookup::Ambiguous,
            Location::Path(path) => {
                let position = find(&self.by_path, path);
                // A service behind us may decode the path: where that is another route, nobody can say which is meant.
                match decoded(path) {
                    Some(decoded) if find(&self.by_decoded_path, &decoded) != position => return Lookup::Ambiguous,
                    _ => position,
                }
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
    pub(crate) fn with_implications(&self, requirement: Requirement) -> Requirement {
        requirement.with_implications(&self.implications)
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

/// A [`RouteTable`] being written. It becomes one with the word on everything else.
#[derive(Clone, Debug, Default)]
#[must_use = "a table takes effect once closed with `otherwise`"]
pub struct RouteTableBuilder {
    routes: Vec<Route>,
    declared: Vec<(Box<str>, Vec<Box<str>>)>,
    preflight: Preflight,
}

impl RouteTableBuilder {
    /// GET, and HEAD with it.
    pub fn get(self, path: &str, requirement: Requirement) -> Self {
        self.on([Method::GET], path, requirement)
    }

    /// POST.
    pub fn post(self, path: &str, requirement: Requirement) -> Self {
        self.on([Method::POST], path, requirement)
    }

    /// PUT.
    pub fn put(self, path: &str, requirement: Requirement) -> Self {
        self.on([Method::PUT], path, requirement)
    }

    /// PATCH.
    pub fn patch(self, path: &str, requirement: Requirement) -> Self {
        self.on([Method::PATCH], path, requirement)
    }

    /// DELETE.
    pub fn delete(self, path: &str, requirement: Requirement) -> Self {
        self.on([Method::DELETE], path, requirement)
    }

    /// These methods.
    pub fn on(self, methods: impl IntoIterator<Item = Method>, path: &str, requirement: Requirement) -> Self {
        self.push(Methods::These(methods.into_iter().collect()), path, requirement)
    }

    /// Every method that no other route of this path names.
    pub fn any(self, path: &str, requirement: Requirement) -> Self {
        self.push(Methods::Any, path, requirement)
    }

    pub(super) fn push(mut self, methods: Methods, path: &str, requirement: Requirement) -> Self {
        self.routes.push(Route { methods, path: path.into(), requirement: Arc::new(requirement) });
        self
    }

    /// Declares that whoever holds `scope` also has what `included` stand for.
    pub fn implies<'s>(mut self, scope: &str, included: impl IntoIterator<Item = &'s str>) -> Self {
        self.declared.push((scope.into(), included.into_iter().map(Into::into).collect()));
        self
    }

    /// How unlisted OPTIONS requests are treated.
    pub const fn preflight(mut self, preflight: Preflight) -> Self {
        self.preflight = preflight;
        self
    }

    /// Closes the table with the word on requests that no route answers to.
    ///
    /// # Errors
    /// Where a path could not be matched, a scope could not be granted, a route contradicts itself, or two contradict
    /// each other; the error names the routes.
    pub fn otherwise(self, unlisted: Unlisted) -> Result<RouteTable, RouteTableError> {
        let Self { mut routes, declared, preflight } = self;
        for text in declared.iter().flat_map(|(broad, narrow)| std::iter::once(broad).chain(narrow)) {
            text.parse::<crate::token::Scope>().map_err(RouteTableError::Implication)?;
        }
        let implications = Arc::new(Implications::new(&declared));
        let (mut by_pattern, mut by_shape) = (HashMap::new(), HashMap::new());
        let mut by_path = matchit::Router::new();
        let mut by_decoded_path = matchit::Router::new();
        let mut rules: Vec<PathRules> = Vec::new();
        for position in 0..routes.len() {
            let (earlier, rest) = routes.split_at_mut(position);
            let Some(route) = rest.first_mut() else { break };
            check(route)?;
            let requirement = Requirement::clone(&route.requirement).with_implications(&implications);
            route.requirement = Arc::new(requirement);
            if let Some(first) = earlier.iter().find(|first| first.path == route.path && overlap(first, route)) {
                return Err(RouteTableError::Conflict { first: first.to_string(), second: route.to_string() });
            }
            let at = match by_pattern.get(&route.path) {
                Some(&at) => at,
                None => {
                    let conflict = |error| insert_error(&error, earlier, route);
                    by_path.insert(&*route.path, rules.len()).map_err(conflict)?;
                    let meant = decoded(&route.path).unwrap_or_else(|| route.path.to_string());
                    by_decoded_path.insert(meant, rules.len()).map_err(conflict)?;
                    by_pattern.insert(route.path.clone(), rules.len());
                    by_shape.insert(without_names(&route.path), rules.len());
                    rules.push(PathRules::default());
                    rules.len() - 1
                }
            };
            if let Some(rules) = rules.get_mut(at) {
                rules.add(route);
            }
        }
        let preflight = match preflight {
            Preflight::AsListed => None,
            Preflight::Public => Some(Arc::new(Requirement::public())),
        };
        let any_valid_token = Arc::new(Requirement::authenticated());
        Ok(RouteTable {
            routes,
            by_pattern,
            by_shape,
            by_path,
            by_decoded_path,
            rules,
            unlisted,
            any_valid_token,
            preflight,
            implications,
            declared,
        })
    }
}

impl PathRules {
    fn add(&mut self, route: &Route) {
        match &route.methods {
            Methods::Any => self.any = Some(Arc::clone(&route.requirement)),
            Methods::These(methods) => {
                let rules = methods.iter().map(|method| (method.clone(), Arc::clone(&route.requirement)));
                self.by_method.extend(rules);
            }
        }
    }
}

/// Whether one request would be decided by both: a named method comes before any, so those two do not meet.
fn overlap(first: &Route, second: &Route) -> bool {
    match (&first.methods, &second.methods) {
        (Methods::Any, Methods::Any) => true,
        (Methods::These(first), Methods::These(second)) => first.iter().any(|method| second.contains(method)),
        _ => false,
    }
}

/// What is wrong with one route by itself.
fn check(route: &Route) -> Result<(), RouteTableError> {
    let path_error = |reason: &str| RouteTableError::Path { route: route.to_string(), reason: reason.to_owned() };
    let contradiction = |reason| RouteTableError::Contradiction { route: route.to_string(), reason };
    let requirement = &route.requirement;
    if !route.path.starts_with('/') {
        return Err(path_error("a path begins with a slash"));
    }
    // Wildcards aside, such a path could never be matched.
    if is_ambiguous(&route.path.replace(['{', '}', '*'], "")) {
        return Err(path_error("an ambiguous path (repeated slashes, dot segments, encodings) is never matched"));
    }
    // matchit numbers them by letter, and panics when it runs out.
    if route.path.replace("{{", "").matches('{').count() > MAX_PARAMETERS {
        return Err(path_error("more parameters than can be matched"));
    }
    if let Methods::These(methods) = &route.methods {
        if methods.is_empty() {
            return Err(contradiction("no method"));
        }
        if methods.iter().enumerate().any(|(at, method)| methods.iter().skip(at + 1).any(|other| other == method)) {
            return Err(contradiction("a method stands twice"));
        }
    }
    requirement.check_scopes().map_err(|source| RouteTableError::Scope { route: route.to_string(), source })?;
    requirement.check_sense().map_err(contradiction)
}

fn find(router: &matchit::Router<usize>, path: &str) -> Option<usize> {
    router.at(path).ok().map(|found| *found.value)
}

fn insert_error(error: &matchit::InsertError, earlier: &[Route], route: &Route) -> RouteTableError {
    let second = route.to_string();
    match error {
        matchit::InsertError::Conflict { with } => {
            let first =
                earlier.iter().find(|first| *first.path == **with).map_or_else(|| with.clone(), Route::to_string);
            RouteTableError::Conflict { first, second }
        }
        other => RouteTableError::Path { route: second, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_parameters_are_an_error_and_no_panic() {
        let table = |count: usize| {
            let path = "/{x}".repeat(count);
            RouteTable::builder().get(&path, Requirement::public()).otherwise(Unlisted::Deny)
        };
        assert!(table(MAX_PARAMETERS).is_ok());
        let error = table(MAX_PARAMETERS + 1).unwrap_err().to_string();
        assert!(error.contains("more parameters than can be matched"), "{error}");
    }
}
