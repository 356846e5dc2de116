//! Bands of lengths: what is counted exactly, and looked at as a map of time against length. As wide as the logarithm wants
//! them, with edges where somebody draws a line: 10 s is what the scheme promises, 20 ms is a slow sync.

/// A band holds what is at most as long as its edge and longer than the one before; microseconds. One more band holds
/// what is longer than all edges.
pub const EDGES_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

pub const BANDS: usize = EDGES_US.len() + 1;

/// The band of a length in microseconds; parts of them are rounded up, so that no edge is passed unseen.
pub fn band(us: u64) -> usize {
    EDGES_US.partition_point(|edge| *edge < us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_belongs_to_the_band_below_it() {
        assert!(EDGES_US.is_sorted_by(|one, next| one < next));
        for (place, edge) in EDGES_US.into_iter().enumerate() {
            assert_eq!((band(edge), band(edge + 1)), (place, place + 1), "{edge} us");
        }
        assert_eq!((band(0), band(u64::MAX)), (0, BANDS - 1));
    }
}
