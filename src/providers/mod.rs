//! Presets for known authorization servers: what their tokens take, who says whether they stand, and a client of each.

#[cfg(feature = "agent-idp")]
#[cfg_attr(docsrs, doc(cfg(feature = "agent-idp")))]
pub mod agent_idp;
#[cfg(feature = "grantex")]
#[cfg_attr(docsrs, doc(cfg(feature = "grantex")))]
pub mod grantex;
