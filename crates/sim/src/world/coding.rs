//! The host's cores at work: a job is coded when it begins, and its answer comes when its price in time is paid, slice by
//! slice if it has several.

use super::{Filming, World};
use crate::cost::Work;
use telepane_codec::{Encoder, EncoderOptions, SlotMap};
use telepane_model::{EncodeJob, EncodedSlice, EncodedSlices, JobId, Quality};

impl World {
    /// Begins the next job if none is under way: it reads the newest pixels now, and its answer comes when its time is
    /// over.
    pub(super) fn begin_coding(&mut self) {
        if self.coding.is_some() {
            return;
        }
        let Some(job) = self.to_code.pop_front() else { return };
        let filmed = job.items.iter().filter(|i| i.quality == Quality::FILM);
        let judged: u64 = match &self.encoder {
            Some((_, encoder)) => filmed.filter(|i| encoder.begins_film(i.rect)).map(|i| i.rect.area()).sum(),
            None => 0,
        };
        let (mut done, told) = self.code(&job);
        let slices = done.as_ref().map_or(&[][..], |d| &d.slices);
        let mut cost = self.cost.encode.of(&Work::of_job(&job, slices));
        // What is to begin a film is looked at as what is coded is.
        cost += self.cost.encode.per_mpx.scaled(judged, 1_000_000);
        let shows = |s: &EncodedSlice| s.tiles.iter().any(|t| t.quality == Quality::FILM);
        let film = job.items.iter().find(|i| i.quality == Quality::FILM);
        if let Some(item) = film.filter(|_| slices.iter().any(shows)) {
            cost += self.cost.film_show_per_mpx.scaled(item.rect.area(), 1_000_000);
        }
        let at = self.now + cost.as_micros();
        if done.as_ref().is_ok_and(|d| d.awaits) {
            self.film_jobs.push(job.id);
        }
        // The other core begins when the job that asks for it is done; what it codes was read when that began.
        if let Some(mut task) = self.encoder.as_mut().and_then(|(_, e)| e.take_film()) {
            self.film_seen = true;
            task.run(&self.seen);
            self.filmed_pixels = task.pixels();
            let takes = self.cost.film(task.pixels());
            self.filming = Some(Filming { at: at + takes.as_micros(), epoch: job.epoch, task });
        }
        // A slice can leave when everything up to it is paid for.
        if let Ok(done) = &mut done {
            let paid = |i: usize| self.cost.encode.of(&Work::of_job(&job, &done.slices[..=i])).as_micros();
            let ready: Vec<_> = (0..told).map(|i| (self.now + paid(i)).min(at)).collect();
            let slices = ready.into_iter().zip(done.slices.drain(..told));
            self.parts = slices.map(|(at, slice)| (at, EncodedSlices::part(job.id, done.version, slice))).collect();
        }
        self.coding = Some((at, done));
    }

    /// What comes of a job, and how many of its slices can leave before the end.
    fn code(&mut self, job: &EncodeJob) -> (Result<EncodedSlices, JobId>, usize) {
        let fits = matches!(&self.encoder, Some((epoch, _)) if *epoch == job.epoch);
        if !fits {
            let options = EncoderOptions { film_apart: true, film_judged: true, ..EncoderOptions::default() };
            // spec: C-155
            let spoilt = std::mem::take(&mut self.spoilt);
            let slots = self
                .encoder
                .take()
                .filter(|_| !spoilt)
                .map_or_else(|| SlotMap::new(options.cache), |(_, e)| e.into_slots());
            let mut encoder = Encoder::with_slots(job.size, options, slots);
            self.offers.drain(..).for_each(|(first, hashes)| encoder.offer(first, &hashes));
            self.encoder = Some((job.epoch, encoder));
        }
        let pixels = self.seen.clone();
        let nothing = EncodedSlices { job: job.id, ..EncodedSlices::default() };
        if pixels.size() != job.size {
            // The desktop changed its size under the job: the frame that says so makes the job void.
            return (Ok(nothing), 0);
        }
        let version = self.newest;
        let Some((_, encoder)) = &mut self.encoder else { return (Ok(nothing), 0) };
        encoder.refit(job);
        let mut told = 0;
        let coded = encoder.encode_by_slices(job, &pixels, version, &mut |_| told += 1);
        let Ok(done) = coded else { return (Err(job.id), 0) };
        for slice in &done.slices {
            self.coded_bytes += slice.bytes.len() as u64;
            assert!(slice.bytes.len() as u64 <= job.slice_bytes.0, "a slice fits its bound");
            if slice.tiles.iter().any(|t| t.quality == Quality::FILM) {
                self.films.insert((job.epoch, slice.id), self.filmed_pixels);
            }
        }
        if let Some(last) = done.slices.last().filter(|_| self.judged) {
            self.oracle.on_coded(job.epoch, (job.first, last.id), encoder.sent(), version);
        }
        (Ok(done), told)
    }
}
