//! Amounts of resources: fixed-point numbers with the suffixes of SI and of powers of two.
//!
//! A quantity remembers the family of suffix that it was written with and prints in it, with the largest suffix
//! that needs no fraction. A text that is canonical already is kept as it stands.

mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

pub use parse::ParseError;

/// The family of suffixes that a quantity prints with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    #[default]
    DecimalSi,
}

/// An amount: `unscaled * 10^scale`, never finer than a billionth.
#[derive(Clone, Debug, Default)]
pub struct Quantity {
    unscaled: i128,
    scale: i32,
    format: Format,
    /// The text it was read from, where that text prints again as it is.
    text: Option<Box<str>>,
}

/// The finest scale: billionths.
const NANO: i32 = -9;
const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text)
    }

    pub fn from_i64(value: i64, format: Format) -> Self {
        Self {
            unscaled: value.into(),
            scale: 0,
            format,
            text: None,
        }
    }

    /// `value` thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Self {
            unscaled: value.into(),
            scale: -3,
            format,
            text: None,
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_zero(&self) -> bool {
        self.unscaled == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.unscaled.signum() as i32
    }

    /// Whole units, rounded away from zero; the nearest bound where it does not fit.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// Thousandths, rounded away from zero; the nearest bound where it does not fit.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// In units of `10^scale`, rounded away from zero; the nearest bound where it does not fit.
    pub fn scaled_value(&self, scale: i32) -> i64 {
        let value = rescale(self.unscaled, self.scale, scale).unwrap_or(self.unscaled.signum() * i128::MAX);
        i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is a whole number of units.
    pub fn is_integer(&self) -> bool {
        self.scale >= 0 || self.unscaled % pow10(-self.scale).unwrap_or(i128::MAX) == 0
    }

    pub fn as_f64(&self) -> f64 {
        self.unscaled as f64 * 10f64.powi(self.scale)
    }

    pub fn add(&mut self, other: &Self) {
        self.combine(other, i128::saturating_add);
    }

    pub fn sub(&mut self, other: &Self) {
        self.combine(other, i128::saturating_sub);
    }

    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            unscaled: -self.unscaled,
            text: None,
            ..self.clone()
        }
    }

    fn combine(&mut self, other: &Self, op: fn(i128, i128) -> i128) {
        if self.is_zero() {
            self.format = other.format;
        }
        let scale = self.scale.min(other.scale);
        let aligned =
            |q: &Self| rescale(q.unscaled, q.scale, scale).unwrap_or(q.unscaled.signum() * i128::MAX);
        self.unscaled = op(aligned(self), aligned(other));
        self.scale = scale;
        self.text = None;
    }
}

fn pow10(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// `unscaled * 10^from` in units of `10^to`, rounded away from zero; `None` where it does not fit.
fn rescale(unscaled: i128, from: i32, to: i32) -> Option<i128> {
    if unscaled == 0 {
        return Some(0);
    }
    if from >= to {
        return unscaled.checked_mul(pow10(from - to)?);
    }
    let Some(divisor) = pow10(to - from) else {
        return Some(unscaled.signum());
    };
    let rest = unscaled % divisor;
    Some(unscaled / divisor + if rest == 0 { 0 } else { unscaled.signum() })
}

/// Divides by `factor` as often as it goes, at most `limit` times; returns how often.
fn strip_factors(mut value: i128, factor: i128, limit: i32) -> (i128, i32) {
    let mut times = 0;
    while value != 0 && times < limit && value % factor == 0 {
        value /= factor;
        times += 1;
    }
    (value, times)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        match self.format {
            Format::BinarySi => match self.large_integer() {
                Some(whole) => {
                    let (number, times) = strip_factors(whole, 1024, BINARY_SUFFIXES.len() as i32 - 1);
                    write!(f, "{number}{}", BINARY_SUFFIXES[times as usize])
                }
                // A fraction, or a number too small for a binary suffix, would lose by it.
                None => self.fmt_decimal(f, Format::DecimalSi),
            },
            format => self.fmt_decimal(f, format),
        }
    }
}

impl Quantity {
    /// The value in whole units if it is whole and at least 1024 away from zero.
    fn large_integer(&self) -> Option<i128> {
        let whole = if self.is_integer() {
            rescale(self.unscaled, self.scale, 0)?
        } else {
            return None;
        };
        (whole.unsigned_abs() >= 1024).then_some(whole)
    }

    fn fmt_decimal(&self, f: &mut fmt::Formatter<'_>, format: Format) -> fmt::Result {
        let (mut number, times) = strip_factors(self.unscaled, 10, i32::MAX);
        let mut exponent = self.scale + times;
        let highest = if format == Format::DecimalSi { 18 } else { i32::MAX };
        while exponent % 3 != 0 || exponent > highest {
            number = number.saturating_mul(10);
            exponent -= 1;
        }
        match format {
            Format::DecimalExponent if exponent == 0 => write!(f, "{number}"),
            Format::DecimalExponent => write!(f, "{number}e{exponent}"),
            _ => write!(
                f,
                "{number}{}",
                DECIMAL_SUFFIXES[((exponent - NANO) / 3) as usize]
            ),
        }
    }

    /// Mantissa and exponent that are the same for equal values.
    fn normalized(&self) -> (i128, i32) {
        let (number, times) = strip_factors(self.unscaled, 10, i32::MAX);
        (number, if number == 0 { 0 } else { self.scale + times })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By value: `1` equals `1000m`.
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.min(other.scale);
        let aligned = |q: &Self| rescale(q.unscaled, q.scale, scale);
        match (aligned(self), aligned(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // One is beyond what a common scale can hold: its sign decides.
            (None, _) => self.unscaled.signum().cmp(&0),
            (_, None) => 0.cmp(&other.unscaled.signum()),
        }
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalized().hash(state);
    }
}

#[cfg(test)]
mod tests;
