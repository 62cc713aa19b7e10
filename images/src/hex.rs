//! Bytes as people and files name them.

/// Lower-case hexadecimal, two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_byte_has_two_digits() {
    assert_eq!(hex(&[0, 0x0f, 0xa0]), "000fa0");
}
