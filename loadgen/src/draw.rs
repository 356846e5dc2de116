//! Which payment comes next: debtor, creditor, amount and the creditor agent's plan, from the seed and the index alone.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::mix::Plan;
use crate::options::{Bank, Options};
use crate::uetr::mix;

const AMOUNTS: usize = 4096;
const SKEW_SLOTS: usize = 1 << 16;

pub(crate) struct Draw {
    seed: u64,
    banks: u64,
    amounts: Vec<i64>,
    /// Banks in proportion to their share; empty when all have the same.
    skewed: Vec<u16>,
    /// Every plan that occurs; a payment keeps its number.
    plans: Vec<Plan>,
    /// For each bank, ends of the shares and the number of the plan.
    thresholds: Vec<Vec<(u32, u8)>>,
}

/// One payment before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) debtor: u16,
    pub(crate) creditor: u16,
    pub(crate) amount_minor: i64,
    pub(crate) plan: u8,
}

impl Draw {
    pub(crate) fn new(options: &Options) -> Self {
        let mut rng = SmallRng::seed_from_u64(options.seed);
        let amounts = (0..AMOUNTS).map(|_| options.amounts.draw(&mut rng)).collect();
        let mut plans = Vec::new();
        let thresholds = options.banks.iter().map(|bank| thresholds(bank, options, &mut plans)).collect();
        let skewed = if options.zipf > 0.0 { skew(options.banks.len(), options.zipf) } else { Vec::new() };
        Draw { seed: mix(options.seed), banks: options.banks.len() as u64, amounts, skewed, plans, thresholds }
    }

    /// A payment's own random bits.
    pub(crate) fn hash(&self, index: u64) -> u64 {
        mix(self.seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// With a debtor given, as in a closed loop, only the rest is drawn.
    pub(crate) fn draw(&self, index: u64, debtor: Option<u16>) -> Drawn {
        let (one, two) = (self.hash(index), mix(self.hash(index) ^ self.seed));
        let debtor = debtor.unwrap_or_else(|| self.bank(one as u32));
        let mut creditor = self.bank((one >> 32) as u32);
        if creditor == debtor {
            let further = 1 + (two >> 32) % (self.banks - 1);
            creditor = ((u64::from(debtor) + further) % self.banks) as u16;
        }
        let amount_minor = self.amounts[two as usize % AMOUNTS];
        let at = (mix(two) >> 32) as u32;
        let shares = &self.thresholds[usize::from(creditor)];
        let plan = shares.iter().find(|(end, _)| at <= *end).map_or(0, |(_, plan)| *plan);
        Drawn { debtor, creditor, amount_minor, plan }
    }

    pub(crate) fn plan(&self, number: u8) -> Plan {
        self.plans[usize::from(number)]
    }

    fn bank(&self, bits: u32) -> u16 {
        if self.skewed.is_empty() {
            ((u64::from(bits) * self.banks) >> 32) as u16
        } else {
            self.skewed[bits as usize % SKEW_SLOTS]
        }
    }
}

fn thresholds(bank: &Bank, options: &Options, plans: &mut Vec<Plan>) -> Vec<(u32, u8)> {
    let answers = bank.answers.as_ref().unwrap_or(&options.answers);
    let number = |plan: Plan, plans: &mut Vec<Plan>| match plans.iter().position(|other| *other == plan) {
        Some(number) => number as u8,
        None => {
            plans.push(plan);
            (plans.len() - 1) as u8
        }
    };
    answers.thresholds().into_iter().map(|(end, plan)| (end, number(plan, plans))).collect()
}

/// Bank k has a share of 1/k^exponent; at least one slot, so that nobody is left out.
fn skew(banks: usize, exponent: f64) -> Vec<u16> {
    let weights: Vec<f64> = (1..=banks).map(|rank| (rank as f64).powf(-exponent)).collect();
    let sum: f64 = weights.iter().sum();
    let mut slots = Vec::with_capacity(SKEW_SLOTS);
    let mut reached = 0.0;
    for (bank, weight) in weights.iter().enumerate() {
        reached += weight / sum;
        let end = ((reached * SKEW_SLOTS as f64).round() as usize).max(slots.len() + 1);
        slots.resize(end.min(SKEW_SLOTS), bank as u16);
    }
    slots.resize(SKEW_SLOTS, 0);
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(options: &Options) -> Vec<u32> {
        let draw = Draw::new(options);
        let mut debits = vec![0; options.banks.len()];
        for index in 0..100_000 {
            let drawn = draw.draw(index, None);
            assert_ne!(drawn.debtor, drawn.creditor);
            assert!(drawn.amount_minor > 0);
            debits[usize::from(drawn.debtor)] += 1;
        }
        debits
    }

    #[test]
    fn without_skew_all_banks_pay_alike_and_with_it_the_first_pays_most() {
        let mut options = Options { banks: Bank::series("BANK-", 10).unwrap(), ..Options::default() };
        assert!(count(&options).iter().all(|debits| (9_500..10_500).contains(debits)));
        options.zipf = 1.1;
        let skewed = count(&options);
        assert!(skewed[0] > 3 * skewed[4] && skewed[9] > 1_000, "{skewed:?}");
    }

    #[test]
    fn a_bank_answers_by_its_own_mix_and_the_same_seed_draws_the_same() {
        let mut options = Options { banks: Bank::series("BANK-", 2).unwrap(), ..Options::default() };
        options.banks[1].answers = Some("AC04=1".parse().unwrap());
        let (draw, again) = (Draw::new(&options), Draw::new(&options));
        for index in 0..1000 {
            let drawn = draw.draw(index, None);
            let rejects = matches!(draw.plan(drawn.plan), Plan::Reject(_));
            assert_eq!(rejects, drawn.creditor == 1);
            assert_eq!(again.draw(index, None), drawn);
        }
    }
}
