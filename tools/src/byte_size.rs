//! Sizes in bytes as people write them.

/// Reads `4096`, `100MB` (decimal: 1000² bytes) or `256MiB` (binary: 1024² bytes); capitals do not matter and `M` is `MB`.
///
/// ```
/// assert_eq!(sbam_tools::parse_byte_size("256MiB"), Ok(268_435_456));
/// assert_eq!(sbam_tools::parse_byte_size("100 MB"), Ok(100_000_000));
/// assert!(sbam_tools::parse_byte_size("a lot").is_err());
/// ```
pub fn parse_byte_size(text: &str) -> Result<u64, String> {
    const EXAMPLES: &str =
        "give a whole number above 0 with or without a unit, such as 256MiB or 100MB";
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        "tib" => 1 << 40,
        _ => return Err(EXAMPLES.to_owned()),
    };
    let bytes = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| EXAMPLES.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_byte_size;

    #[test]
    fn units_are_decimal_or_binary() {
        for (text, bytes) in [
            ("1", 1),
            ("1k", 1000),
            ("2KiB", 2048),
            (" 3 mb ", 3_000_000),
            ("1GiB", 1 << 30),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(parse_byte_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "0MB",
            "-1",
            "1.5GiB",
            "MB",
            "1 parsec",
            "99999999999TiB",
            "१",
        ] {
            assert!(parse_byte_size(text).is_err(), "{text}");
        }
    }
}
