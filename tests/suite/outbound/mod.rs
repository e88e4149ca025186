//! Calls of our own → the tokens they carry.

mod attach;
mod client;
mod exchanged;
mod http;
mod refreshed;
mod sources;
