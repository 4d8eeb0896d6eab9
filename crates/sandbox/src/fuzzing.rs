//! What a fuzzer is let at: the answers of a process that was taken over.

use crate::wire::{Answer, Hello, MEMORY_BYTES, Request, Verdict, planes};

/// The first bytes are what was asked; the others are answers, each behind a byte with its length.
///
/// # Panics
/// When an answer is believed that is not to what was asked, or leads outside the memory.
pub fn answers(bytes: &[u8]) {
    let (asked, mut rest) = bytes.split_at(bytes.len().min(Request::LEN));
    let Some(mut asked) = Request::decode(asked) else { return };
    assert_eq!(Request::decode(&asked.encode()), Some(asked));
    while let Some((len, more)) = rest.split_first() {
        let (answer, more) = more.split_at(more.len().min(usize::from(*len)));
        rest = more;
        if let Ok(hello) = Hello::decode(answer) {
            assert_eq!(hello.encode(), *answer);
        }
        let Ok(told) = Answer::decode(answer, &asked) else { continue };
        assert_eq!(told.encode(), *answer, "one spelling");
        assert_eq!(told.number, asked.number);
        if told.verdict == Verdict::Picture {
            assert_eq!(told.sides, asked.sides);
            let planes = planes(told.sides).expect("it was asked for");
            assert!(planes.iter().all(|(start, len)| start + len <= MEMORY_BYTES));
        }
        // The same again is an answer to nothing.
        asked.number = asked.number.wrapping_add(1);
        assert!(Answer::decode(answer, &asked).is_err());
    }
}
