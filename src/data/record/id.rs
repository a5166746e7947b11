//! The id of a record: the first 128 bits of BLAKE3 over the canonical form of its five normalised fields.

/// Returns the id of a record from the canonical form of its five normalised fields.
pub(crate) fn id_of(canonical: &[u8]) -> u128 {
    let hash = blake3::hash(canonical);
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first)
}

/// Returns an id as it is shown: 32 lower-case hex digits.
pub(crate) fn hex_digits(id: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (byte, two) in id.to_be_bytes().iter().zip(digits.chunks_exact_mut(2)) {
        two.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    digits
}
