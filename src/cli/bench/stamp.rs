//! What the payload of a benchmark's message says.

/// The first bytes of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tells this run's messages from those of an earlier one.
    pub run: u32,
    /// Number of the publisher, from 0.
    pub publisher: u32,
    /// Number of the message among its publisher's, from 0.
    pub sequence: u64,
    /// When it was due, in nanoseconds since the start of the run.
    pub due: u64,
}

impl Stamp {
    /// Bytes it takes.
    pub const SIZE: usize = 24;

    pub fn write(&self, out: &mut [u8; Self::SIZE]) {
        out[..4].copy_from_slice(&self.run.to_be_bytes());
        out[4..8].copy_from_slice(&self.publisher.to_be_bytes());
        out[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        out[16..].copy_from_slice(&self.due.to_be_bytes());
    }

    /// `None` for a payload that is too short to be ours.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (due, _) = rest.split_first_chunk()?;
        Some(Stamp {
            run: u32::from_be_bytes(*run),
            publisher: u32::from_be_bytes(*publisher),
            sequence: u64::from_be_bytes(*sequence),
            due: u64::from_be_bytes(*due),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { run: 1, publisher: u32::MAX, sequence: 3 << 40, due: u64::MAX - 1 };
        let mut payload = [0; Stamp::SIZE];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[1..]), None);
    }
}
