//! Goals: a line each, and how many were missed.

use super::Bench;

/// The smallest, the middle one and the largest.
pub(super) fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

impl Bench {
    pub(super) fn goal_at_least(&mut self, name: &str, value: f64, unit: &str, target: f64, beside: &str) {
        self.judge(name, value, unit, (">=", target), value >= target, beside);
    }

    pub(super) fn goal_at_most(&mut self, name: &str, value: f64, unit: &str, target: f64, beside: &str) {
        self.judge(name, value, unit, ("<=", target), value <= target, beside);
    }

    /// The median of `ratios`, with the smallest and the largest beside it.
    pub(super) fn ratio_at_least(&mut self, name: &str, ratios: Vec<f64>, target: f64, beside: &str) {
        let (least, middle, most) = median(ratios);
        self.goal_at_least(name, middle, "ratio", target, &format!(" ({least:.2} to {most:.2}){beside}"));
    }

    pub(super) fn ratio_at_most(&mut self, name: &str, ratios: Vec<f64>, target: f64) {
        let (least, middle, most) = median(ratios);
        self.goal_at_most(name, middle, "ratio", target, &format!(" ({least:.2} to {most:.2})"));
    }

    fn judge(&mut self, name: &str, value: f64, unit: &str, target: (&str, f64), met: bool, beside: &str) {
        self.missed += usize::from(!met);
        let verdict = if met { "met" } else { "missed" };
        let (sign, target) = target;
        println!("goal {name} {value:.3} {unit} target {sign}{target} {verdict}{beside}");
    }
}
