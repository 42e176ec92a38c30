//! When refused clients may come back: later, the more of them there are. Pure.

use std::collections::VecDeque;

/// Seconds, at most.
const MOST: u64 = 32;
/// Refusals a second that double the time.
const MANY: u64 = 3;

/// The refusals of one priority level.
#[derive(Clone, Debug)]
pub struct RetryAfter {
    seconds: u64,
    raised_at: Option<u64>,
    /// Refusals by second; the last one is not over.
    history: VecDeque<(u64, u64)>,
}

impl Default for RetryAfter {
    fn default() -> Self {
        RetryAfter {
            seconds: 1,
            raised_at: None,
            history: VecDeque::new(),
        }
    }
}

impl RetryAfter {
    /// A request was refused in this second. Says after how many it may come back.
    pub fn refused(&mut self, second: u64) -> u64 {
        match self.history.back_mut() {
            Some((last, count)) if *last >= second => *count += 1,
            _ => {
                // The second before is over: that is when to look back.
                self.adjust(second);
                self.history.push_back((second, 1));
            }
        }
        self.seconds
    }

    /// Doubled under many refusals, then lowered step by step: as TCP finds its rate.
    fn adjust(&mut self, second: u64) {
        let from = second.saturating_sub(self.seconds);
        let refused: u64 = self
            .history
            .iter()
            .filter(|(at, _)| *at >= from)
            .map(|(_, count)| count)
            .sum();
        let may_rise = self
            .raised_at
            .is_none_or(|at| second.saturating_sub(at) >= self.seconds);
        if may_rise && refused >= MANY * self.seconds {
            self.seconds = (self.seconds * 2).min(MOST);
            self.raised_at = Some(second);
        } else if refused < self.seconds && self.seconds > 1 {
            self.seconds -= 1;
        }
        let needed = second.saturating_sub((2 * self.seconds).min(MOST));
        self.history.retain(|(at, _)| *at >= needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_doubles_under_load_and_shrinks_after_it() {
        let mut retry = RetryAfter::default();
        let mut seen = Vec::new();
        for second in 100..140 {
            for _ in 0..10 {
                retry.refused(second);
            }
            seen.push(retry.refused(second));
        }
        seen.dedup();
        assert_eq!(seen, [1, 2, 4, 8, 16, 32]);
        assert!(retry.history.len() <= MOST as usize + 2);
        // One now and then: no more load.
        let later: Vec<u64> = (0..40).map(|step| retry.refused(200 + step * 60)).collect();
        assert_eq!((later[0], later[39]), (31, 1));
    }

    #[test]
    fn few_refusals_change_nothing() {
        let mut retry = RetryAfter::default();
        for second in 0..50 {
            assert_eq!(retry.refused(second), 1);
        }
    }
}
