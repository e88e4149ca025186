//! Measurements → the one below which a part of them lies.

/// The value below which a part of these lies: half of them below the median. Not a number of none.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::as_conversions, reason = "a place among so few")]
    let place = (values.len().saturating_sub(1) as f64 * part) as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}
