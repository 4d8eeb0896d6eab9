//! How what people allow a session is written: a list of numbers and values, of which unknown ones are skipped.

use crate::fault::Fault;
use crate::wire::{Put, Reader};
use telepane_model::{Knob, SessionPolicy};

/// The most entries of a list: room for what later versions add.
// spec: K-42
pub const MOST_KNOBS: usize = 64;

pub(crate) fn put(out: &mut Vec<u8>, policy: &SessionPolicy) {
    out.varint(policy.set().count() as u64);
    for (knob, value) in policy.set() {
        out.varint(knob as u64);
        out.varint(value);
    }
}

// spec: K-42, K-43
pub(crate) fn take(r: &mut Reader<'_>) -> Result<SessionPolicy, Fault> {
    let mut policy = SessionPolicy::NONE;
    let mut last = 0;
    for _ in 0..r.count(MOST_KNOBS)? {
        let (number, value) = (r.varint()?, r.varint()?);
        if number <= last {
            return Err(Fault::BadPolicy);
        }
        last = number;
        if let Some(knob) = Knob::numbered(number) {
            policy = policy.with(knob, Some(value)).map_err(|_| Fault::BadPolicy)?;
        }
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Control;
    use telepane_model::Preset;

    fn read(list: &[u64]) -> Result<SessionPolicy, Fault> {
        let mut bytes = vec![40];
        bytes.varint(list.len() as u64 / 2);
        list.iter().for_each(|n| bytes.varint(*n));
        match Control::decode(&bytes)? {
            Control::PolicyWish(policy) => Ok(policy),
            other => panic!("{other:?}"),
        }
    }

    // spec: K-42
    #[test]
    fn every_preset_comes_back_and_unknown_knobs_are_skipped() {
        for preset in Preset::ALL {
            for message in [Control::PolicyWish(preset.policy()), Control::PolicyTold(preset.policy())] {
                assert_eq!(Control::decode(&message.encode()), Ok(message));
            }
        }
        let known = SessionPolicy::NONE.with(Knob::MaxFps, Some(24)).expect("in range");
        assert_eq!(read(&[7, 24, 60, 5, 10_000, u64::MAX >> 2]), Ok(known));
        assert_eq!(read(&[]), Ok(SessionPolicy::NONE));
    }

    // spec: K-43
    #[test]
    fn values_out_of_range_and_knobs_twice_or_out_of_order_are_named() {
        for list in [
            &[1u64, 99_999][..],
            &[7, 0],
            &[7, 241],
            &[4, 101],
            &[8, 2],
            &[7, 24, 7, 24],
            &[7, 24, 1, 300_000],
            &[0, 0],
        ] {
            assert_eq!(read(list), Err(Fault::BadPolicy), "{list:?}");
        }
        assert_eq!(Control::decode(&[40, 0x40, 65]), Err(Fault::ListTooLong));
    }
}
