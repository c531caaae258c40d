//! What one subscriber received from one publisher: in order, late, twice, or not at all.

use std::ops::Range;

/// Gaps remembered; a late message out of a forgotten one counts as a duplicate.
const GAPS: usize = 4096;

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Never seen before, and later than all before it.
    InOrder,
    /// Never seen before, but a later one came first.
    Reordered,
    /// Seen before.
    Duplicate,
}

/// The messages of one publisher, as one subscriber sees them.
#[derive(Debug, Default)]
pub struct Tally {
    next: u64,
    gaps: Vec<Range<u64>>,
}

impl Tally {
    /// Notes the message with this sequence number.
    pub fn note(&mut self, sequence: u64) -> Arrival {
        if sequence == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        if sequence > self.next {
            if self.gaps.len() == GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(self.next..sequence);
            self.next = sequence.saturating_add(1);
            return Arrival::InOrder;
        }
        let Some(at) = self.gaps.iter().rposition(|gap| gap.contains(&sequence)) else {
            return Arrival::Duplicate;
        };
        let gap = self.gaps[at].clone();
        let parts = [gap.start..sequence, sequence + 1..gap.end];
        self.gaps.splice(at..=at, parts.into_iter().filter(|part| !part.is_empty()));
        Arrival::Reordered
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival::*, *};

    #[test]
    fn late_messages_are_told_from_repeated_ones() {
        let mut tally = Tally::default();
        let arrivals = [0, 1, 5, 3, 3, 2, 4, 2, 6, 0].map(|sequence| tally.note(sequence));
        let expected = [
            InOrder, InOrder, InOrder, Reordered, Duplicate, Reordered, Reordered, Duplicate, InOrder,
            Duplicate,
        ];
        assert_eq!(arrivals, expected);
        assert!(tally.gaps.is_empty());
    }

    #[test]
    fn memory_is_bounded_however_much_is_lost() {
        let mut tally = Tally::default();
        for sequence in (0..100_000).step_by(2) {
            assert_eq!(tally.note(sequence), InOrder);
        }
        assert_eq!(tally.gaps.len(), GAPS);
    }
}
