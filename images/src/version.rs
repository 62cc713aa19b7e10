//! Debian version numbers: `[epoch:]upstream[-revision]`, compared as dpkg does (deb-version(7), Debian policy 5.6.12).

use std::cmp::Ordering;

/// Compares two Debian versions. `~` sorts before everything, even the end; letters before other signs; digit runs
/// as numbers.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = split_epoch(a);
    let (epoch_b, rest_b) = split_epoch(b);
    let (upstream_a, revision_a) = split_revision(rest_a);
    let (upstream_b, revision_b) = split_revision(rest_b);
    compare_numbers(epoch_a, epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

fn split_epoch(version: &str) -> (&str, &str) {
    version.split_once(':').unwrap_or(("0", version))
}

/// A missing revision equals revision 0, which `compare_part` gives for an empty string.
fn split_revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() || !b.is_empty() {
        let (signs_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (signs_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        let (digits_a, rest_a) = rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (digits_b, rest_b) = rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let order = compare_signs(signs_a, signs_b).then_with(|| compare_numbers(digits_a, digits_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn compare_signs(a: &str, b: &str) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    (0..a.len().max(b.len()))
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Digit runs of any length.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_dpkg_does() {
        // Each line is in ascending order; checked against `dpkg --compare-versions`.
        let ladders: &[&[&str]] = &[
            &["6.1.9-1", "6.1.10-1", "6.1.162-1", "6.12.1-1"],
            &["7.3~rc7-1~exp1", "7.3~rc7-1", "7.3-1~exp1", "7.3-1", "7.3-1+b1", "7.3-2"],
            &["6.12.43-1~bpo12+1", "6.12.43-1", "6.12.43-1+deb13u1"],
            &["1.0~~", "1.0~", "1.0", "1.0a", "1.0+", "1.0."],
            &["9:1", "10:0"],
            &["9.9", "1:0.1"],
            &["1.2-a-1", "1.2-a-2"],
        ];
        for ladder in ladders {
            for (i, low) in ladder.iter().enumerate() {
                for (j, high) in ladder.iter().enumerate() {
                    assert_eq!(compare(low, high), i.cmp(&j), "{low} against {high}");
                }
            }
        }
    }

    #[test]
    fn equal_in_other_spelling() {
        assert_eq!(compare("0:1.0", "1.0"), Ordering::Equal);
        assert_eq!(compare("1.0", "1.0-0"), Ordering::Equal);
        assert_eq!(compare("1.007", "1.7"), Ordering::Equal);
    }
}
