//! The fakes this crate is tested with: a clock that is told the time, tokens good and bad, and an authorization server.
//!
//! ```
//! use portcullis::testing::{ManualClock, TestIssuer};
//!
//! let clock = ManualClock::new();
//! let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://idp.example");
//! let good = issuer.token().scopes(["orders:read"]).build();
//! let forged = issuer.token().scopes(["orders:read"]).tampered().build();
//! assert!(good != forged && issuer.asked().jwks == 0);
//! ```
//!
//! A service that is configured with `issuer.transport()` and the same clock is tested without a socket and without
//! waiting; [`TestIssuer::start`] is the same authorization server behind real HTTP. What goes wrong in the world is
//! scripted: [`TestIssuer::fault`] breaks an endpoint, [`TestIssuer::hold`] stops its requests at a known place, and
//! [`TestIssuer::asked`] says what was asked.

mod clock;
mod feed;
mod issuer;
mod jws;
mod key;
mod shared;
mod token;

pub use clock::ManualClock;
pub use feed::{MessageFault, UnreliableFeed};
pub use issuer::{Asked, Fault, Held, Target, TestIssuer, TestIssuerBuilder};
pub use jws::verify_jws;
pub use key::TestKey;
pub use shared::{SharedMemory, StoreFault};
pub use token::TokenBuilder;
