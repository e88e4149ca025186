//! What the benchmarks share: criterion's times, or with `-- ratios` what rounds of turns come to.

mod quantile;

use criterion::Criterion;
pub(crate) use quantile::quantile;

/// Criterion's figures, or the ratios where they are asked for.
pub(crate) fn run(times: fn(), ratios: fn()) {
    if std::env::args().any(|argument| argument == "ratios") {
        ratios();
    } else {
        times();
        Criterion::default().configure_from_args().final_summary();
    }
}
