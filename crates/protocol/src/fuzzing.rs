//! Entry points for the fuzz targets: any bytes are understood and say the same again, or are refused.

use crate::control::Control;
use crate::datagram::Datagram;
use crate::slice::SliceBody;
use telepane_model::Stamp;

/// Reads `bytes` as a datagram.
pub fn datagram(bytes: &[u8]) {
    if let Ok((seq, d)) = Datagram::decode(bytes) {
        assert_eq!(Datagram::decode(&d.encode(u64::from(seq))), Ok((seq, d)));
    }
}

/// Reads `bytes` as a control message, and as a slice's body.
pub fn control(bytes: &[u8]) {
    if let Ok(m) = Control::decode(bytes) {
        assert_eq!(Control::decode(&m.encode()), Ok(m));
    }
    let _ = SliceBody::decode(bytes, true, true, Stamp::from_micros(1 << 40));
}
