//! How a string is written so that it is read as that string.

/// How a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// What a string's characters allow.
#[derive(Default)]
struct Analysis {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

/// Words that are booleans, nothing, or no number.
const WORDS: &[&str] = &[
    "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO",
    "false", "False", "FALSE", "off", "Off", "OFF", "", "~", "null", "Null", "NULL", ".nan", ".NaN", ".NAN",
    ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
];

/// Chooses a style; a key stands in one line.
pub fn style(text: &str, is_key: bool) -> Style {
    if !is_string(text) {
        return Style::DoubleQuoted;
    }
    let analysis = analyze(text);
    if text.contains('\n') {
        return if analysis.block && !is_key {
            Style::Literal
        } else {
            Style::DoubleQuoted
        };
    }
    match analysis {
        Analysis { plain: true, .. } => Style::Plain,
        Analysis {
            single_quoted: true, ..
        } => Style::SingleQuoted,
        _ => Style::DoubleQuoted,
    }
}

/// Whether a reader takes the bare text for a string.
fn is_string(text: &str) -> bool {
    if WORDS.contains(&text) {
        return false;
    }
    let Some(first) = text.chars().next() else {
        return false;
    };
    if !(first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return true;
    }
    let bare = text.replace('_', "");
    !(is_float(&bare) || is_integer(&bare) || is_date(text) || is_sexagesimal(text))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    !digits.is_empty() && !digits.starts_with(['+', '-']) && u64::from_str_radix(digits, radix).is_ok()
}

fn is_float(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits
        && all_digits(whole)
        && all_digits(fraction)
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

/// A day, alone or with a time after `T`, `t` or a space.
fn is_date(text: &str) -> bool {
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let mut parts = day.split('-');
    let (year, month, date) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>, lengths: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| {
            lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    if !(number(year, 4..=4) && number(month, 1..=2) && number(date, 1..=2) && parts.next().is_none()) {
        return false;
    }
    let time = &text[day.len()..];
    time.is_empty() || is_time(&time[1..])
}

fn is_time(text: &str) -> bool {
    let end = text
        .find(|char: char| !(char.is_ascii_digit() || matches!(char, ':' | '.')))
        .unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let fields: Vec<&str> = clock.split(':').collect();
    let zone_is_known = zone.is_empty()
        || zone == "Z"
        || (zone.starts_with(['+', '-']) && zone.len() == 6 && zone.as_bytes()[3] == b':');
    fields.len() == 3 && fields.iter().all(|field| !field.is_empty()) && zone_is_known
}

/// `1:30`, which older readers take for ninety.
fn is_sexagesimal(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut fields = number.split(':');
    let first_is_number = fields
        .next()
        .is_some_and(|first| first.starts_with(|char: char| char.is_ascii_digit()) && is_digits(first));
    let mut count = 0;
    let rest_fits = fields.all(|field| {
        count += 1;
        let whole = field.split('.').next().unwrap_or_default();
        (1..=2).contains(&whole.len()) && is_digits(&field.replace('.', "")) && whole < "60"
    });
    first_is_number && count > 0 && rest_fits
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

fn analyze(text: &str) -> Analysis {
    let mut indicator = text.starts_with("---") || text.starts_with("...");
    let (mut special, mut space_then_break, mut break_then_space) = (false, false, false);
    let mut previous: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let ends_word = chars
            .peek()
            .is_none_or(|next| matches!(next, ' ' | '\t' | '\n' | '\r'));
        indicator |= match previous {
            None => is_indicator(char) || (matches!(char, '?' | ':' | '-') && ends_word),
            Some(before) => {
                (char == ':' && ends_word) || (char == '#' && matches!(before, ' ' | '\t' | '\n'))
            }
        };
        special |= !is_printable(char);
        space_then_break |= char == '\n' && previous == Some(' ');
        break_then_space |= char == ' ' && previous == Some('\n');
        previous = Some(char);
    }
    let edged = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
    Analysis {
        plain: !(indicator || special || edged || text.contains('\n')),
        single_quoted: !(special || space_then_break || break_then_space),
        block: !(special || space_then_break || text.ends_with(' ')),
    }
}

fn is_indicator(char: char) -> bool {
    "#,[]{}&*!|>'\"%@`".contains(char)
}

fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && char != '\u{feff}'
}

/// What stands for a character between double quotes, unless it stands for itself.
pub fn escape(char: char) -> Option<String> {
    let short = match char {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        char if is_printable(char) => return None,
        char => {
            let code = char as u32;
            return Some(match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
        }
    };
    Some(short.to_owned())
}
