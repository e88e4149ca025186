//! Routes as they are listed → a checked [`RouteTable`], or the error that names the routes.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    Preflight, Requirement, RouteTable, RouteTableError, Unlisted,
    path::{decoded, is_ambiguous, without_names},
    route_table::{Methods, PathRules, Route},
    vocabulary::Vocabulary,
};

/// What matchit can tell apart in one path.
const MAX_PARAMETERS: usize = 25;

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
        let vocabulary = Arc::new(Vocabulary::new(&declared));
        let (mut by_pattern, mut by_shape) = (HashMap::new(), HashMap::new());
        let mut by_path = matchit::Router::new();
        let mut by_decoded_path = matchit::Router::new();
        let mut rules: Vec<PathRules> = Vec::new();
        for position in 0..routes.len() {
            let (earlier, rest) = routes.split_at_mut(position);
            let Some(route) = rest.first_mut() else { break };
            check(route)?;
            let requirement = Requirement::clone(&route.requirement).with_vocabulary(&vocabulary);
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
            vocabulary,
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
    // Decoded, they would be taken for a parameter's.
    if route.path.to_ascii_uppercase().contains("%7B") || route.path.to_ascii_uppercase().contains("%7D") {
        return Err(path_error("encoded braces"));
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
