//! A table, a route, a requirement → the text a person would want to read.

use std::fmt;

use super::{
    Requirement, RouteTable, Unlisted,
    requirement::Access,
    route_table::{Methods, Route},
};
use crate::status::{Freshness, OnOutage};

impl fmt::Display for Requirement {
    /// `read & write | admin, audience https://a.example, status asked every time`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternatives: Vec<String> = self.any_of.iter().map(|scopes| scopes.join(" & ")).collect();
        // An alternative without scopes is met by any valid token, whatever stands beside it.
        let demands_scopes = self.any_of.iter().all(|scopes| !scopes.is_empty());
        match (self.access, demands_scopes) {
            (Access::Public, _) => f.write_str("public")?,
            (Access::Optional, false) => f.write_str("any valid token, or none")?,
            (Access::Optional, true) => write!(f, "{}, or no token", alternatives.join(" | "))?,
            (Access::Required, false) => f.write_str("any valid token")?,
            (Access::Required, true) => f.write_str(&alternatives.join(" | "))?,
        }
        if let Some(audiences) = &self.audiences {
            write!(f, ", audience {}", audiences.join(" or "))?;
        }
        for condition in &self.conditions {
            write!(f, ", {}", condition.name)?;
        }
        match self.freshness {
            Freshness::Cached => {}
            Freshness::MaxAge(age) => write!(f, ", status at most {} s old", age.as_secs())?,
            Freshness::EveryRequest => f.write_str(", status asked every time")?,
        }
        match self.on_outage {
            None => Ok(()),
            Some(OnOutage::Deny) => f.write_str(", denied in an outage"),
            Some(OnOutage::AcceptStale(age)) => write!(f, ", in an outage accepted for {} s", age.as_secs()),
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::These(methods) => {
                f.write_str(&methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl fmt::Display for Route {
    /// `GET /agents`, as errors name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.methods, self.path)
    }
}

impl fmt::Display for RouteTable {
    /// One aligned line per route, in the order in which they were listed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self.unlisted() {
            Unlisted::Deny => "refused",
            Unlisted::Authenticated => "any valid token",
        };
        let mut lines: Vec<[String; 3]> = self
            .routes()
            .iter()
            .map(|route| [route.methods.to_string(), route.path.to_string(), route.requirement.to_string()])
            .collect();
        lines.push(["*".to_owned(), "anything else".to_owned(), rest.to_owned()]);
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (methods, paths) = (width(0), width(1));
        for [method, path, needs] in &lines {
            writeln!(f, "{method:methods$}  {path:paths$}  {needs}")?;
        }
        Ok(())
    }
}
