//! The form of a CronJob's schedule: five fields, or a word for a common one.

/// Bounds of the five fields.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &MONTHS),
    (0, 6, &DAYS),
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// What is wrong with a schedule, in the words of the library that upstream uses.
pub fn check(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        rest = rest
            .split_once(' ')
            .map(|(_, rest)| rest)
            .unwrap_or_default()
            .trim();
    }
    if rest.is_empty() {
        return Err("empty spec string".to_owned());
    }
    if rest.starts_with('@') {
        return check_word(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    for (field, (low, high, names)) in fields.iter().zip(FIELDS) {
        for part in field.split(',').filter(|part| !part.is_empty()) {
            check_range(part, low, high, names)?;
        }
    }
    Ok(())
}

fn check_word(word: &str) -> Result<(), String> {
    if let Some(duration) = word.strip_prefix("@every ") {
        let parsed = apimachinery::duration::Duration::parse(duration);
        return parsed
            .map(drop)
            .map_err(|error| format!("failed to parse duration {word}: {error}"));
    }
    if WORDS.contains(&word) {
        Ok(())
    } else {
        Err(format!("unrecognized descriptor: {word}"))
    }
}

/// `*`, `5`, `1-5`, each with an optional `/step`.
fn check_range(text: &str, low: u32, high: u32, names: &[&str]) -> Result<(), String> {
    let mut halves = text.split('/');
    let (range, step) = (halves.next().unwrap_or_default(), halves.next());
    if halves.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let mut ends = range.split('-');
    let (start, end) = (ends.next().unwrap_or_default(), ends.next());
    if ends.next().is_some() {
        return Err(format!("too many hyphens: {text}"));
    }
    let (first, last) = if matches!(start, "*" | "?") {
        (low, high)
    } else {
        let first = number(start, low, names)?;
        let open = if step.is_some() { high } else { first };
        (
            first,
            end.map(|end| number(end, low, names))
                .transpose()?
                .unwrap_or(open),
        )
    };
    if let Some(step) = step
        && number(step, low, &[])? == 0
    {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    if first < low {
        return Err(format!(
            "beginning of range ({first}) below minimum ({low}): {text}"
        ));
    }
    if last > high {
        return Err(format!("end of range ({last}) above maximum ({high}): {text}"));
    }
    if first > last {
        return Err(format!(
            "beginning of range ({first}) beyond end of range ({last}): {text}"
        ));
    }
    Ok(())
}

fn number(text: &str, low: u32, names: &[&str]) -> Result<u32, String> {
    if let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(u32::try_from(index).unwrap_or(0) + low);
    }
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn knows_schedules() {
        for schedule in [
            "* * * * *",
            "*/5 0 1,15 * mon-fri",
            "0 0 * JAN ?",
            "@hourly",
            "@every 1h30m",
            "TZ=UTC 0 0 * * *",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
        for (schedule, error) in [
            ("", "empty spec string"),
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-1 * * * *",
                "beginning of range (5) beyond end of range (1): 5-1",
            ),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("@odd", "unrecognized descriptor: @odd"),
        ] {
            assert_eq!(check(schedule), Err(error.to_owned()), "{schedule}");
        }
    }
}
