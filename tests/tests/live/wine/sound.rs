//! Sound through Wine's WASAPI, whose devices are those of a PulseAudio server: what is heard is measured as on Linux.

use super::super::process::have;
use super::super::sound::{NEEDED, heard_both_ways};
use super::{Wine, windows_path};

#[test]
fn a_sweep_is_heard_both_ways_through_wasapi() {
    let Some(wine) = Wine::start("Windows: sound") else { return };
    if have("Windows: sound", &NEEDED) {
        heard_both_ways("WASAPI", None, |dir, host, args| {
            let args: Vec<String> = args
                .iter()
                .map(|arg| if arg.starts_with('/') { windows_path(arg.as_ref()) } else { (*arg).into() })
                .collect();
            wine.connect(dir, None, host, &args.iter().map(String::as_str).collect::<Vec<_>>())
        });
    }
}
