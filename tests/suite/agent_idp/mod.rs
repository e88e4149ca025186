//! What `examples/agent_idp` promises to whoever runs it: its document line by line, what it keeps, what it refuses.

mod agents;
mod crash;
mod document;
mod persistence;
mod requests;
mod service;
mod walk;

/// The example itself, for the tests beside its code: nothing else runs those.
#[path = "../../../examples/agent_idp/main.rs"]
#[allow(dead_code, reason = "nobody calls its main function here")]
mod example;
