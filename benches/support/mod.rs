//! What the benchmarks share: criterion's times, or with `-- ratios` what rounds of turns come to.

use criterion::Criterion;

/// Criterion's figures, or the ratios where they are asked for.
pub(crate) fn run(times: fn(), ratios: fn()) {
    if std::env::args().any(|argument| argument == "ratios") {
        ratios();
    } else {
        times();
        Criterion::default().configure_from_args().final_summary();
    }
}

/// The value below which a part of these lies: half of them below the median. Not a number of none.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::as_conversions, reason = "a place among so few")]
    let place = (values.len().saturating_sub(1) as f64 * part) as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}
