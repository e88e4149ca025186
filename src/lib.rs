#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! Authorization middleware for tower.

pub mod clock;
pub mod crypto;
pub mod issuer;
mod tasks;
