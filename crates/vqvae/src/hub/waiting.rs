//! How long the Hub asks to wait before the next request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The `RateLimit` header tells whole seconds, rounded down.
const ROUNDED_AWAY: u64 = 1;

/// The time that an answer asks to wait, by its headers `Retry-After` and `RateLimit`; none where it names none.
pub(crate) fn asked_for<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Duration {
    let retry_after = header("retry-after").and_then(|text| retry_after(text, SystemTime::now()));
    let rate_limit = header("ratelimit").and_then(rate_limit);
    Duration::from_secs(retry_after.into_iter().chain(rate_limit).max().unwrap_or(0))
}

/// Seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(seconds_of_date(text)?.saturating_sub(now))
    })
}

/// `"api";r=0;t=6`: how many requests remain in this window, and in how many seconds it ends; several are separated by
/// commas, and the longest wait counts.
fn rate_limit(text: &str) -> Option<u64> {
    let parse = |limit: &str| {
        let field = |name: &str| {
            let value = limit.split(';').find_map(|field| field.trim().strip_prefix(name)?.trim().strip_prefix('='));
            value?.trim().parse::<u64>().ok()
        };
        field("t").filter(|_| field("r").unwrap_or(0) == 0)
    };
    text.split(',').filter_map(parse).max().map(|seconds| seconds.saturating_add(ROUNDED_AWAY))
}

/// `Thu, 26 Nov 2026 13:26:08 GMT` in seconds since 1970.
fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split([' ', ':']);
    let mut number = || words.next()?.parse::<u64>().ok();
    let day = number()?;
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (year, hours, minutes, seconds) = (number()?, number()?, number()?, number()?);
    if !(1970..10_000).contains(&year) || day > 31 || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // Days since March of year 0, in years that begin with March.
    let years = if month < 2 { year - 1 } else { year };
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    (86_400 * days + 3600 * hours + 60 * minutes + seconds).checked_sub(86_400 * 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_the_hub_writes_them() {
        let wait = |headers: &[(&str, &'static str)]| {
            asked_for(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)).as_secs()
        };
        assert_eq!(wait(&[]), 0);
        assert_eq!(wait(&[("retry-after", " 7 ")]), 7);
        for (text, seconds) in [
            (r#""api";r=0;t=6"#, 7),
            (r#""api"; r = 0; t = 55"#, 56),
            (r#""api";r=0;t=6, "pages";r=3;t=200"#, 7),
            (r#""api";r=0;t=6,"resolvers";r=0;t=31"#, 32),
            (r#""api";r=4;t=6"#, 0),
            ("nonsense", 0),
            (r#""api";r=0;t=soon"#, 0),
        ] {
            assert_eq!(wait(&[("ratelimit", text)]), seconds, "{text}");
        }
        assert_eq!(wait(&[("ratelimit", r#""api";r=0;t=6"#), ("retry-after", "3")]), 7);
        // A date that has passed.
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), 0);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d "…" +%s`
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 12:34:56 GMT", 951_827_696),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_480),
            ("Sun, 31 Dec 2028 23:59:59 GMT", 1_861_919_999),
        ] {
            assert_eq!(seconds_of_date(text), Some(seconds), "{text}");
            assert_eq!(retry_after(text, UNIX_EPOCH), Some(seconds));
        }
        for text in ["", "soon", "Wed, 21 Okt 2015 07:28:00 GMT", "Wed, 21 Oct", "Wed, 99 Oct 2015 07:28:00 GMT"] {
            assert_eq!(seconds_of_date(text), None, "{text}");
        }
    }
}
