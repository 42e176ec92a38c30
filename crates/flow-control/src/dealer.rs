//! Shuffle sharding: each flow has a hand of queues of its own, and two flows rarely have the same hand, so that a
//! flow that fills its queues leaves others at least one that is free.

/// Bits of a hash that a deal may use up: with all 64 the last card would be dealt unevenly.
const MAX_ENTROPY_BITS: f64 = 60.0;
const MAX_DECK: u32 = 1 << 26;
/// The largest hand within the entropy: 15 of 16 cards.
const MAX_HAND: usize = 15;

/// Deals hands of so many of so many queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealer {
    deck: u32,
    hand: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{hand} of {deck} queues can't be dealt from one hash")]
pub struct Error {
    deck: i64,
    hand: i64,
}

impl Dealer {
    pub fn new(deck: i32, hand: i32) -> Result<Dealer, Error> {
        let error = Error {
            deck: deck.into(),
            hand: hand.into(),
        };
        let (Ok(deck), Ok(hand)) = (u32::try_from(deck), u32::try_from(hand)) else {
            return Err(error);
        };
        let bits = (f64::from(deck).log2() * f64::from(hand)).ceil();
        if hand == 0 || hand > deck || deck > MAX_DECK || bits > MAX_ENTROPY_BITS {
            return Err(error);
        }
        Ok(Dealer { deck, hand })
    }

    pub fn deck(&self) -> u32 {
        self.deck
    }

    pub fn hand_size(&self) -> u32 {
        self.hand
    }

    /// The hand of a flow, by the hash of its name: distinct queues, each as likely as any other.
    pub fn deal(&self, mut hash: u64) -> Hand {
        let mut cards = [0; MAX_HAND];
        let mut count = 0;
        // Drawing the n-th card leaves one choice less; a card is counted among those that are left, so it moves up
        // past each card drawn before it.
        for choices in (self.deck - self.hand + 1..=self.deck).rev().take(MAX_HAND) {
            let mut card = (hash % u64::from(choices)) as u32;
            hash /= u64::from(choices);
            let drawn: &mut [u32] = &mut cards[..count];
            drawn.sort_unstable();
            for earlier in drawn.iter() {
                if card >= *earlier {
                    card += 1;
                }
            }
            cards[count] = card;
            count += 1;
        }
        Hand { cards, count }
    }
}

/// The queues that a flow may be put in.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    cards: [u32; MAX_HAND],
    count: usize,
}

impl Hand {
    /// The cards, beginning with that of the given position: so that not always the same one is looked at first.
    pub fn starting_at(&self, position: u64) -> impl Iterator<Item = u32> + '_ {
        let start = (position % self.count.max(1) as u64) as usize;
        let (before, after) = self.cards[..self.count].split_at(start);
        after.iter().chain(before).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand(dealer: &Dealer, hash: u64) -> Vec<u32> {
        dealer.deal(hash).starting_at(0).collect()
    }

    #[test]
    fn hands_hold_distinct_cards_of_the_deck() {
        for (deck, size) in [(1, 1), (2, 2), (16, 15), (64, 6), (128, 6), (1 << 26, 2)] {
            let dealer = Dealer::new(deck, size).expect("a valid deck");
            for hash in [0, 1, 12_345_678_901, u64::MAX / 3, u64::MAX] {
                let mut cards = hand(&dealer, hash);
                assert!(cards.iter().all(|card| *card < dealer.deck()));
                cards.sort_unstable();
                cards.dedup();
                assert_eq!(cards.len(), size as usize, "{deck} {size} {hash}");
            }
        }
    }

    #[test]
    fn every_card_is_as_likely() {
        let dealer = Dealer::new(8, 3).expect("a valid deck");
        let mut seen = [0; 8];
        // All deals there are, each once.
        for hash in 0..8 * 7 * 6 {
            for card in hand(&dealer, hash) {
                seen[card as usize] += 1;
            }
        }
        assert_eq!(seen, [8 * 7 * 6 * 3 / 8; 8]);
    }

    #[test]
    fn what_cannot_be_dealt_is_refused() {
        for (deck, size) in [
            (0, 0),
            (4, 0),
            (4, 5),
            (-1, 1),
            (16, 16),
            (128, 9),
            ((1 << 26) + 1, 1),
        ] {
            assert!(Dealer::new(deck, size).is_err(), "{deck} {size}");
        }
    }
}
