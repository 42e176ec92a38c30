//! A number or a text: ports by number or name, amounts absolute or in percent.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntOrString {
    Int(i32),
    String(String),
}

/// How a percentage of a total becomes a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    Up,
    Down,
}

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid value for IntOrString: invalid type: string is not a percentage")]
    NotPercentage,
    #[error(
        "invalid value for IntOrString: invalid value {0:?}: strconv.Atoi: parsing {1:?}: invalid syntax"
    )]
    NotNumber(String, String),
}

impl IntOrString {
    /// The number itself, or that percentage of `total`.
    pub fn scaled_value(&self, total: i64, rounding: Rounding) -> Result<i64, Error> {
        let percent = match self {
            Self::Int(value) => return Ok(i64::from(*value)),
            Self::String(text) => {
                let digits = text.strip_suffix('%').ok_or(Error::NotPercentage)?;
                digits
                    .parse::<i64>()
                    .map_err(|_| Error::NotNumber(text.clone(), digits.to_owned()))?
            }
        };
        let product = i128::from(percent) * i128::from(total);
        let scaled = match rounding {
            Rounding::Down => product.div_euclid(100),
            Rounding::Up => -(-product).div_euclid(100),
        };
        Ok(i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The number, also when it is written as text; 0 if it is none.
    pub fn int_value(&self) -> i32 {
        match self {
            Self::Int(value) => *value,
            Self::String(text) => text.parse().unwrap_or(0),
        }
    }
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl From<i32> for IntOrString {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for IntOrString {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_scale() {
        let quarter = IntOrString::from("25%");
        assert_eq!(quarter.scaled_value(10, Rounding::Up), Ok(3));
        assert_eq!(quarter.scaled_value(10, Rounding::Down), Ok(2));
        assert_eq!(quarter.scaled_value(8, Rounding::Up), Ok(2));
        assert_eq!(IntOrString::from(7).scaled_value(3, Rounding::Up), Ok(7));
        assert_eq!(
            IntOrString::from("7").scaled_value(3, Rounding::Up),
            Err(Error::NotPercentage)
        );
        assert_eq!(
            IntOrString::from("x%").scaled_value(3, Rounding::Up).map_err(|e| e.to_string()),
            Err(r#"invalid value for IntOrString: invalid value "x%": strconv.Atoi: parsing "x": invalid syntax"#.into())
        );
    }
}
