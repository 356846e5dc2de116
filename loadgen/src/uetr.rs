//! UETRs of one run: look random, are unique, and say which payment they belong to, so that finding a payment is an array
//! access.
//!
//! | bytes | |
//! |---|---|
//! | 0..6 | 48 bits mixed from the run's key and the index |
//! | 6..10 | version 4, variant 10 and 26 bits of the run: another run's UETRs are told apart |
//! | 10..16 | the index (40 bits), masked by a second mix of the first 48 bits |

use wire::Uetr;

const INDEX_MAX: u64 = 1 << 40;
const MASK: u64 = (1 << 48) - 1;

/// The finaliser of SplitMix64: every bit of the result depends on every bit of the input.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Uetrs {
    key: u64,
    run: [u8; 4],
}

impl Uetrs {
    /// `nonce` must differ between two runs against the same switch, or their payments are duplicates of each other.
    pub(crate) fn new(nonce: u64) -> Self {
        let bytes = mix(nonce).to_le_bytes();
        let template = Uetr::from_random([0, 0, 0, 0, 0, 0, bytes[0], bytes[1], bytes[2], bytes[3], 0, 0, 0, 0, 0, 0]);
        let run = template.bytes();
        Uetrs { key: mix(nonce ^ 0x5851_f42d_4c95_7f2d), run: [run[6], run[7], run[8], run[9]] }
    }

    pub(crate) fn bytes(&self, index: u64) -> [u8; 16] {
        assert!(index < INDEX_MAX, "payment {index} does not fit the 40 bits of a UETR");
        let front = mix(self.key ^ index) & MASK;
        let back = index ^ (mix(front ^ self.key.rotate_left(17)) & MASK);
        let whole = (u128::from(front) << 80) | (u128::from(u32::from_be_bytes(self.run)) << 48) | u128::from(back);
        whole.to_be_bytes()
    }

    /// Which payment this is; none when it is not of this run.
    pub(crate) fn index(&self, uetr: &[u8; 16]) -> Option<u64> {
        let whole = u128::from_be_bytes(*uetr);
        if (whole >> 48) as u32 != u32::from_be_bytes(self.run) {
            return None;
        }
        let front = (whole >> 80) as u64;
        let index = (whole as u64 & MASK) ^ (mix(front ^ self.key.rotate_left(17)) & MASK);
        (index < INDEX_MAX && mix(self.key ^ index) & MASK == front).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back_from_a_valid_uetr() {
        let (one, two) = (Uetrs::new(1), Uetrs::new(2));
        for index in (0..10_000).chain([INDEX_MAX - 1]) {
            let bytes = one.bytes(index);
            assert!(Uetr::from_bytes(bytes).is_ok());
            assert_eq!((one.index(&bytes), two.index(&bytes)), (Some(index), None));
            let mut other = bytes;
            other[(index % 16) as usize] ^= 1;
            assert_ne!(one.index(&other), Some(index));
        }
    }
}
