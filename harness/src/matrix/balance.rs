//! Which unit goes to which shard. Pure, and the same on every machine.

/// The shard (from 1) of each unit, given how long each takes. Longest processing time first: the longest unit goes to
/// the shard that has least so far, at worst 4/3 of the best there is (Graham 1969). Ties go to what comes first.
pub fn cut(weights: &[u64], shards: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&unit| std::cmp::Reverse(weights[unit]));
    let mut loads = vec![(0_u64, 0_usize); shards.max(1) as usize];
    let mut out = vec![1; weights.len()];
    for unit in order {
        // Of two that are equally loaded, the one with fewer units: what takes no time is spread as well.
        let Some(least) = (0..loads.len()).min_by_key(|&shard| (loads[shard], shard)) else { continue };
        loads[least].0 = loads[least].0.saturating_add(weights[unit]);
        loads[least].1 += 1;
        out[unit] = u32::try_from(least + 1).unwrap_or(u32::MAX);
    }
    out
}

/// How many shards shorten a night: with more, the longest unit still takes as long as it takes.
pub fn useful(weights: &[u64]) -> u32 {
    let longest = weights.iter().copied().max().unwrap_or(0).max(1);
    let all: u64 = weights.iter().sum();
    let most = u64::try_from(weights.len()).unwrap_or(u64::MAX).max(1);
    u32::try_from(all.div_ceil(longest).clamp(1, most)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(weights: &[u64], shards: u32) -> Vec<u64> {
        let cut = cut(weights, shards);
        (1..=shards).map(|shard| cut.iter().zip(weights).filter(|(s, _)| **s == shard).map(|(_, w)| w).sum()).collect()
    }

    #[test]
    fn the_longest_goes_first() {
        assert_eq!(cut(&[1, 1, 1, 9, 5, 4], 2), [1, 2, 1, 1, 2, 2]);
        assert_eq!(loads(&[1, 1, 1, 9, 5, 4], 2), [11, 10]);
        assert_eq!(loads(&[90, 30, 30, 30], 2), [90, 90]);
        assert_eq!(cut(&[7, 7, 7], 3), [1, 2, 3]);
    }

    #[test]
    fn more_shards_than_units_leave_some_empty() {
        assert_eq!(cut(&[3, 5], 4), [2, 1]);
        assert_eq!(cut(&[], 2), [0_u32; 0]);
        assert_eq!(cut(&[0, 0, 0], 3), [1, 2, 3], "what takes no time is spread as well");
    }

    #[test]
    fn no_shard_has_more_than_four_thirds_of_the_best() {
        // Against every cut there is.
        let mut state = 7_u64;
        for _ in 0..200 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 33
            };
            let weights: Vec<u64> = (0..6).map(|_| 1 + next() % 50).collect();
            let best = (0..3_u64.pow(6)).map(|code| {
                let mut sums = [0; 3];
                weights.iter().fold(code, |code, weight| {
                    sums[(code % 3) as usize] += weight;
                    code / 3
                });
                sums.into_iter().max().unwrap()
            });
            let best = best.min().unwrap();
            let got = loads(&weights, 3).into_iter().max().unwrap();
            assert!(got * 3 <= best * 4, "{weights:?}: {got} where {best} can be had");
        }
    }

    #[test]
    fn useful_shards() {
        assert_eq!(useful(&[90, 30, 30, 30]), 2);
        assert_eq!(useful(&[10, 10, 10]), 3);
        assert_eq!(useful(&[100, 1]), 2);
        assert_eq!((useful(&[]), useful(&[0, 0])), (1, 1));
    }
}
