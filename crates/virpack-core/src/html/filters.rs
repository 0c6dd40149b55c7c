//! The filters of the templates, which format numbers.

use minijinja::Environment;
use virpack_seq::grouped;

/// Adds all filters to an environment.
pub(super) fn add(env: &mut Environment<'_>) {
    env.add_filter("thousands", grouped);
    env.add_filter("counted", |count: u64, noun: String| counted(count, &noun));
    env.add_filter("score", |score: f64| format!("{score:.3}"));
    env.add_filter("percent", percent);
    env.add_filter("bases", bases);
    env.add_filter("bytes", |bytes: f64| in_units(bytes, ["GB", "MB", "kB"], "byte"));
    env.add_filter("seconds", seconds);
}

/// Returns a count with its noun: `1 record`, `1,200 records`, `2 entries`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let before_y = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match (count, before_y) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", grouped(count)),
        (_, None) => format!("{} {noun}s", grouped(count)),
    }
}

/// Returns a share between 0 and 1 as percent, with its significant digits.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = match value {
        0.0 | 100.0 => format!("{value:.0}"),
        _ if value < 0.01 => "< 0.01".to_owned(),
        _ if value > 99.9 => "> 99.9".to_owned(),
        _ if value < 0.095 => format!("{value:.2}"),
        _ if !(10.0..=99.0).contains(&value) => {
            let text = format!("{value:.1}");
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
        _ => format!("{value:.0}"),
    };
    format!("{text} %")
}

/// Returns a number of bases in the unit that fits: `812 bases`, `48.5 kb`, `215 Mb`.
pub(super) fn bases(count: f64) -> String {
    in_units(count, ["Gb", "Mb", "kb"], "base")
}

/// Returns a count in the largest of the units 10^9, 10^6 and 10^3 that it reaches, else with its noun.
fn in_units(count: f64, units: [&str; 3], noun: &str) -> String {
    for (size, unit) in [1e9, 1e6, 1e3].into_iter().zip(units) {
        if count >= size {
            let decimals = if count >= 100.0 * size { 0 } else { 1 };
            return format!("{:.decimals$} {unit}", count / size);
        }
    }
    counted(count as u64, noun)
}

/// Returns a duration: `0.7 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    match seconds.round() as u64 {
        whole @ ..60 => format!("{whole} s"),
        whole @ 60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_and_a_noun() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(2, "entry"), "2 entries");
        assert_eq!(counted(0, "day"), "0 days");
        assert_eq!(counted(1_200, "record"), "1,200 records");
    }

    #[test]
    fn a_share_has_the_digits_that_mean_something() {
        let shares = [0.0, 0.00001, 0.0004, 0.004, 0.00096, 0.0099, 0.071, 0.07, 0.56, 0.994, 0.9999, 1.0];
        let texts = [
            "0 %", "< 0.01 %", "0.04 %", "0.4 %", "0.1 %", "1 %", "7.1 %", "7 %", "56 %", "99.4 %",
            "> 99.9 %", "100 %",
        ];
        assert_eq!(shares.map(percent), texts);
    }

    #[test]
    fn units_fit_the_number() {
        assert_eq!(
            [1.0, 812.0, 48_500.0, 4.9e6, 215e6].map(bases),
            ["1 base", "812 bases", "48.5 kb", "4.9 Mb", "215 Mb"]
        );
        assert_eq!([0.71, 42.2, 200.0, 7_500.0].map(seconds), ["0.7 s", "42 s", "3 min 20 s", "2 h 5 min"]);
    }
}
