//! Text to quantity.

use super::{Format, NANO, Quantity, pow10, rescale};

/// A text that is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Digits that surely fit 64 bits: what is longer takes the slow way, which keeps no text.
const SAFE_DIGITS: i32 = 18;
/// Digits that an `i128` holds.
const MAX_DIGITS: usize = 37;

/// The parts of a quantity's text. Leading zeros of `whole` are gone, but one is left if nothing else is.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, ParseError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits_end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = unsigned.trim_start_matches('0');
    let (whole, rest) = rest.split_at(digits_end(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_end(rest)),
        None => ("", rest),
    };
    // A sign, zeros or a point alone count as zero; so does a suffix without a number.
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent.bytes().any(|b| !b.is_ascii_digit()) {
        return Err(ParseError::Format);
    }
    Ok(Parts {
        negative,
        whole: if whole.is_empty() { "0" } else { whole },
        fraction,
        suffix,
    })
}

/// What a suffix multiplies by.
enum Factor {
    PowerOfTen(i32),
    PowerOfTwo(u32),
}

fn interpret(suffix: &str) -> Result<(Factor, Format), ParseError> {
    let si = |exponent| Ok((Factor::PowerOfTen(exponent), Format::DecimalSi));
    let binary = |bits| Ok((Factor::PowerOfTwo(bits), Format::BinarySi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix
                .strip_prefix(['e', 'E'])
                .filter(|digits| !digits.is_empty());
            let exponent: i32 = exponent
                .and_then(|digits| digits.parse().ok())
                .ok_or(ParseError::Suffix)?;
            Ok((
                Factor::PowerOfTen(exponent.clamp(-1_000_000, 1_000_000)),
                Format::DecimalExponent,
            ))
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Quantity, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Format);
    }
    let parts = split(text)?;
    let (factor, format) = interpret(parts.suffix)?;
    let kept = prints_as_written(&parts, &factor);
    let digits = format!("{}{}", parts.whole, parts.fraction);
    let (magnitude, dropped) = leading_digits(&digits)?;
    let (exponent, multiplier) = match factor {
        Factor::PowerOfTen(exponent) => (exponent, 1),
        Factor::PowerOfTwo(bits) => (0, 1_i128 << bits),
    };
    let scale = exponent - parts.fraction.len() as i32 + dropped;
    let mut quantity = Quantity {
        unscaled: magnitude.checked_mul(multiplier).unwrap_or(i128::MAX),
        scale,
        format,
        text: kept.then(|| text.into()),
    };
    fit(&mut quantity);
    if parts.negative {
        quantity.unscaled = -quantity.unscaled;
    }
    Ok(quantity)
}

/// The number that the first digits make, and how many more were left out (the last one kept is then rounded up).
fn leading_digits(digits: &str) -> Result<(i128, i32), ParseError> {
    let significant = digits.trim_start_matches('0');
    let kept = &significant[..significant.len().min(MAX_DIGITS)];
    let number: i128 = if kept.is_empty() {
        0
    } else {
        kept.parse().map_err(|_| ParseError::Numeric)?
    };
    let rest = &significant[kept.len()..];
    Ok((
        number + i128::from(rest.bytes().any(|b| b != b'0')),
        rest.len() as i32,
    ))
}

/// Brings a magnitude into what a quantity may hold: nothing finer than a billionth (rounded up: who asks for
/// something gets something), no binary amount above the largest 64-bit number, none below one.
fn fit(quantity: &mut Quantity) {
    if quantity.scale < NANO {
        quantity.unscaled = rescale(quantity.unscaled, quantity.scale, NANO).unwrap_or(0);
        quantity.scale = NANO;
    }
    if quantity.unscaled == 0 {
        quantity.scale = 0;
    }
    if quantity.format == Format::BinarySi {
        let one = pow10(-quantity.scale.min(0)).unwrap_or(i128::MAX);
        let max = i128::from(i64::MAX).saturating_mul(one);
        if quantity.unscaled > max {
            (quantity.unscaled, quantity.scale) = (i64::MAX.into(), 0);
        } else if quantity.unscaled > 0 && quantity.unscaled < one {
            quantity.format = Format::DecimalSi;
        }
    }
}

/// Whether upstream keeps the text: the number is short, and a larger suffix would need a fraction.
fn prints_as_written(parts: &Parts<'_>, factor: &Factor) -> bool {
    let length = (parts.whole.len() + parts.fraction.len()) as i32;
    let digits = format!("{}{}", parts.whole, parts.fraction);
    match *factor {
        Factor::PowerOfTen(exponent) => {
            let scale = exponent - parts.fraction.len() as i32;
            length <= SAFE_DIGITS
                && scale >= NANO
                && scale % 3 == 0
                && !digits.ends_with("000")
                && !digits.starts_with('0')
        }
        Factor::PowerOfTwo(bits) => {
            let precision = 15 - length - (bits as i32 * 3 / 10) - 1;
            let odd = digits.parse::<i64>().is_ok_and(|value| value & 7 != 0);
            parts.fraction.is_empty() && precision >= 0 && odd
        }
    }
}
