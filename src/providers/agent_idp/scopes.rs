//! The scopes that AgentIdP knows.

/// Read agents' records.
pub const AGENTS_READ: &str = "agents:read";
/// Create, change and decommission agents.
pub const AGENTS_WRITE: &str = "agents:write";
/// Introspect tokens.
pub const TOKENS_READ: &str = "tokens:read";
/// Query audit logs, and check that they are whole.
pub const AUDIT_READ: &str = "audit:read";
/// List webhook subscriptions and what was delivered to them.
pub const WEBHOOKS_READ: &str = "webhooks:read";
/// Create, change and delete webhook subscriptions.
pub const WEBHOOKS_WRITE: &str = "webhooks:write";
/// Manage organizations and federation partners: the scope of an admin.
pub const ADMIN_ORGS: &str = "admin:orgs";

/// All seven.
pub const ALL: [&str; 7] =
    [AGENTS_READ, AGENTS_WRITE, TOKENS_READ, AUDIT_READ, WEBHOOKS_READ, WEBHOOKS_WRITE, ADMIN_ORGS];
