//! Grantex: grants that users give to agents, and the tokens that stem from them.
