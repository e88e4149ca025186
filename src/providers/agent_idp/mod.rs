//! AgentIdP: client credentials, RS256 JWTs, introspection and revocation.
