//! How an issuer's keys are read, kept fresh and given up.

mod amplification;
mod concurrency;
mod formats;
mod freshness;
mod hostile;
mod resilience;
mod revival;
mod rotation;
mod sets;

use std::time::Duration;

/// The defaults of `RefreshPolicy` that these tests count by.
const COOLDOWN: Duration = Duration::from_secs(10);
const SIGNATURE_COOLDOWN: Duration = Duration::from_secs(60);
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(5 * 60);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(1);
