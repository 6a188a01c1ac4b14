//! Medians and their confidence.

/// The median of per-round values with a 95 % interval that assumes no distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Order statistics: the k-th smallest and k-th largest value enclose the median with at least 95 %,
/// where k is the largest for which P(Binomial(n, 1/2) < k) <= 2.5 %. With fewer than six values
/// there is no such k, and the interval is the whole range.
pub(crate) fn median(values: &[f64]) -> Option<Median> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return None;
    }
    let value = if n % 2 == 1 {
        sorted[n / 2]
    } else {
        f64::midpoint(sorted[n / 2 - 1], sorted[n / 2])
    };
    let (mut k, mut tail, mut term) = (0, 0.0, 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX)));
    while k < n / 2 && tail + term <= 0.025 {
        tail += term;
        term *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    let k = k.saturating_sub(1);
    Some(Median {
        value,
        low: sorted[k],
        high: sorted[n - 1 - k],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_fifteen_is_the_fourth_from_each_end() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        assert_eq!(
            median(&values),
            Some(Median {
                value: 8.0,
                low: 4.0,
                high: 12.0
            })
        );
    }

    #[test]
    fn few_values_give_the_whole_range() {
        assert_eq!(
            median(&[3.0, 1.0, 2.0]),
            Some(Median {
                value: 2.0,
                low: 1.0,
                high: 3.0
            })
        );
        assert_eq!(
            median(&[1.0, 2.0]),
            Some(Median {
                value: 1.5,
                low: 1.0,
                high: 2.0
            })
        );
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn six_values_are_enough_for_the_extremes() {
        let six = median(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(
            six,
            Some(Median {
                value: 3.5,
                low: 1.0,
                high: 6.0
            })
        );
    }
}
