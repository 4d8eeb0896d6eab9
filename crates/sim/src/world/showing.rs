//! The viewer's decoder and screen: slices are applied, the picture is shown, and what is shown is measured.

use super::{HOST_EPOCH, Sample, World};
use crate::cost::Work;
use telepane_codec::Decoder;
use telepane_model::{Epoch, Journey, Region, Span, Stamp, Surf, UpdateId};
use telepane_session::{DecodeJob, ShownFigures};

impl World {
    /// Applies a slice; gives what that costs, and what it changed if it went well.
    pub(super) fn decode(&mut self, job: &DecodeJob) -> (Span, Option<Region<Surf>>) {
        let fits = matches!(&self.decoder, Some((epoch, _)) if *epoch == job.epoch);
        if !fits {
            let cache = self.decoder.as_mut().map(|(_, d)| d.take_cache()).unwrap_or_default();
            self.decoder = Some((job.epoch, Decoder::with_cache(job.size, cache)));
        }
        let Some((_, decoder)) = &mut self.decoder else { return (Span::ZERO, None) };
        let applied = decoder.apply(&job.ops);
        let film = self.films.remove(&(job.epoch, job.id));
        let pixels = applied.as_ref().map_or(0, |a| a.changed.area());
        if applied.is_ok() && self.judged {
            self.oracle.on_applied(job.epoch, job.id, decoder.pixels());
        }
        let work = Work::of_slice(&job.ops, job.size, pixels, film);
        (self.cost.decode.of(&work), applied.ok().map(|a| a.changed))
    }

    /// Compares the picture that is about to be shown with the frame it shows, if that was kept.
    pub(super) fn compare(&mut self, journey: &Journey) {
        let Some((frame, rect)) = self.kept.remove(&journey.host.captured.as_micros()) else { return };
        let Some((_, decoder)) = self.decoder.as_ref().filter(|(_, d)| d.pixels().size() == frame.size()) else {
            return;
        };
        let luma = |px: &[u8]| i64::from(px[0]) * 19 + i64::from(px[1]) * 183 + i64::from(px[2]) * 54;
        let mut squared = 0_u64;
        for (a, b) in frame.rows(rect).zip(decoder.pixels().rows(rect)) {
            for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
                let off = (luma(a) - luma(b)).unsigned_abs();
                squared += off * off;
            }
        }
        self.samples.push(Sample {
            at: self.now,
            squared: squared / 65_536,
            pixels: rect.intersect(frame.size().rect()).area(),
        });
    }

    /// What the host knows of what the viewer's screen shows.
    pub fn shown_figures(&self) -> ShownFigures {
        self.host.shown_figures()
    }

    /// How long the viewer let the last frame of film wait for its sound.
    pub fn film_held(&self) -> Span {
        self.viewer.figures().film_held
    }

    pub(super) fn show(&mut self, (epoch, upto, journey): (Epoch, UpdateId, Journey)) {
        let (journey, key) = self.viewer.on_shown(self.viewer_now(), epoch, upto, journey);
        self.presents.push(self.now);
        let captured = journey.host.captured.as_micros().saturating_sub(HOST_EPOCH);
        // A part of a frame that is shown early has no story of its own.
        if journey.host.sent != Stamp::ZERO {
            self.ages.push(Span::micros(self.now.saturating_sub(captured)));
            self.aged_at.push(self.now);
            if let Some(map) = self.viewer.clock_map() {
                let age = journey.shown.since(map.to_viewer(journey.host.captured));
                self.sound.playout.on_picture(journey.shown, age);
            }
            if let Some(age) = self.sound.playout.age() {
                self.viewer.on_heard(journey.shown, age);
            }
        }
        if let Some(key) = key {
            let taken = self.viewer_now().since(key.taken);
            self.key_times.push(taken);
            self.note("viewer", format_args!("key {} shown after {taken:?}", key.seq.0));
        }
    }
}
