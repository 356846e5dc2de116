//! Which of the ordinary payments are kept.

use wire::Uetr;

/// Random bits at the end of a UETR, as of every random trace id (W3C Trace Context, level 2).
const RANDOM_BITS: u32 = 56;

/// Keeps a UETR whose random bits make a number from here on: the rule of OpenTelemetry's consistent sampling, so that all
/// nodes, and all programs that sample by it, choose the same ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    threshold: u64,
}

impl Share {
    /// Of a share in millionths.
    pub(super) fn of(millionths: u32) -> Share {
        let all = 1_u64 << RANDOM_BITS;
        Share { threshold: all - (u128::from(all) * u128::from(millionths) / 1_000_000) as u64 }
    }

    pub(super) fn keeps(self, uetr: Uetr) -> bool {
        uetr.number() as u64 & ((1 << RANDOM_BITS) - 1) >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_all_and_about_as_many_as_asked() {
        let uetrs: Vec<Uetr> = (0..20_000).map(|_| Uetr::random()).collect();
        let kept = |millionths| uetrs.iter().filter(|uetr| Share::of(millionths).keeps(**uetr)).count();
        assert_eq!((kept(0), kept(1_000_000)), (0, 20_000));
        let tenth = kept(100_000);
        assert!((1700..2300).contains(&tenth), "{tenth} of 20000");
        let few = uetrs.iter().filter(|uetr| Share::of(1000).keeps(**uetr));
        assert!(few.clone().all(|uetr| Share::of(100_000).keeps(*uetr)), "a larger share has all of a smaller one");
    }
}
