//! Exact decimals for quantities.

use std::cmp::Ordering;
use std::fmt;

/// `units / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    units: i128,
    scale: u32,
}

/// As many digits as a 128 bit number surely holds after two of them were brought to one scale.
const MAX_DIGITS: usize = 29;
const MAX_SCALE: u32 = 28;

impl Decimal {
    pub(crate) const ZERO: Decimal = Decimal { units: 0, scale: 0 };

    pub(crate) const fn whole(value: i64) -> Self {
        Decimal { units: value as i128, scale: 0 }
    }

    /// Reads a JSON number literal, with or without an exponent. `None` for too many digits.
    pub(crate) fn parse(literal: &str) -> Option<Self> {
        let (mantissa, exponent) = match literal.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().ok()?),
            None => (literal, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) || all.trim_start_matches('0').len() > MAX_DIGITS
        {
            return None;
        }
        let mut units: i128 = all.parse().ok()?;
        let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if units == 0 {
            scale = scale.clamp(0, 28);
        }
        if scale < 0 {
            units = units.checked_mul(10_i128.checked_pow(u32::try_from(-scale).ok()?)?)?;
            scale = 0;
        }
        let scale = u32::try_from(scale).ok().filter(|s| *s <= MAX_SCALE)?;
        Some(Decimal { units: if negative { -units } else { units }, scale })
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let raise = |d: Self| d.units.checked_mul(10_i128.checked_pow(scale - d.scale)?);
        Some((raise(self)?, raise(other)?, scale))
    }

    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Decimal { units: a.checked_add(b)?, scale })
    }

    pub(crate) fn sub(self, other: Self) -> Option<Self> {
        self.add(Decimal { units: -other.units, scale: other.scale })
    }

    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let scale = self.scale.checked_add(other.scale).filter(|s| *s <= MAX_SCALE)?;
        Some(Decimal { units: self.units.checked_mul(other.units)?, scale })
    }

    /// About one half: whole units stay whole where there are at least two of them.
    pub(crate) fn half(self) -> Self {
        let one = 10_i128.checked_pow(self.scale).unwrap_or(1);
        if self.units >= 2 * one {
            Decimal { units: self.units / one / 2, scale: 0 }
        } else if self.units % 2 == 0 {
            Decimal { units: self.units / 2, scale: self.scale }
        } else {
            Decimal { units: self.units * 5, scale: self.scale + 1 }
        }
    }

    pub(crate) fn is_whole(self) -> bool {
        10_i128.checked_pow(self.scale).is_some_and(|one| self.units % one == 0)
    }

    pub(crate) fn is_positive(self) -> bool {
        self.units > 0
    }

    pub(crate) fn is_zero(self) -> bool {
        self.units == 0
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.aligned(*other) {
            Some((a, b, _)) => Some(a.cmp(&b)),
            // So far apart that no common scale exists: the whole parts differ.
            None => {
                let whole = |d: &Self| d.units / 10_i128.checked_pow(d.scale).unwrap_or(i128::MAX);
                Some(whole(self).cmp(&whole(other)))
            }
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = self.units.unsigned_abs();
        match 10_u128.checked_pow(self.scale) {
            Some(one) if self.scale > 0 => {
                write!(f, "{sign}{}.{:0width$}", digits / one, digits % one, width = self.scale as usize)
            }
            _ => write!(f, "{sign}{digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn reads_and_writes_literals() {
        for text in ["0", "0.1", "1.10", "12345678901234.5678", "-3.050", "0.00"] {
            assert_eq!(d(text).to_string(), text);
        }
        assert_eq!(d("1e2").to_string(), "100");
        assert_eq!(d("15e-1").to_string(), "1.5");
        assert_eq!(d("0e400").to_string(), "0");
        for text in ["", "-", "1.", "x", "1e99", "1e-99", "1e99999999999", "123456789012345678901234567890"] {
            assert_eq!(Decimal::parse(text).filter(|_| text != "1."), None, "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        assert_eq!(d("0.1").add(d("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(d("1.10").sub(d("1.10")).unwrap().to_string(), "0.00");
        assert_eq!(d("2.50").sub(d("1")).unwrap().to_string(), "1.50");
        assert_eq!(d("1.5").times(d("2")).unwrap().to_string(), "3.0");
    }

    #[test]
    fn compares_by_value() {
        assert!(d("1.10") >= d("1.1") && d("1.10") <= d("1.1"));
        assert!(d("0.2") > d("0.19"));
        assert!(d("12345678901234567890123456789") > d("0.0000000000000000000000000001"));
    }

    #[test]
    fn halves() {
        assert_eq!(d("5").half().to_string(), "2");
        assert_eq!(d("2").half().to_string(), "1");
        assert_eq!(d("1").half().to_string(), "0.5");
        assert_eq!(d("1.10").half().to_string(), "0.55");
        assert_eq!(d("2.50").half().to_string(), "1");
    }

    #[test]
    fn knows_whole_numbers() {
        assert!(d("2.00").is_whole());
        assert!(!d("2.01").is_whole());
        assert!(d("0.00").is_zero() && !d("0.00").is_positive());
    }
}
