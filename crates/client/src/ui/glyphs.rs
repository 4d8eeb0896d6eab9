//! Characters in the system's fonts, for what an input method composes: any script may come of it.
//!
//! Fonts are looked for on a thread of their own when the first composition begins, because a machine may have thousands;
//! which face has a character is remembered. Until they are there, where none has it, and on machines without fonts, the
//! window's own small one stands in.

use ab_glyph::{Font, FontRef, FontVec, ScaleFont};
use fontdb::{Database, FaceInfo};
use std::collections::BTreeMap;

/// A character drawn: its coverage from 0 to 255, row by row, and where it lies from the pen.
#[derive(Clone, Debug, Default)]
pub(super) struct Glyph {
    pub(super) w: usize,
    /// From the pen to the left edge, and from the line's top to the upper one.
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) advance: u32,
    pub(super) coverage: Vec<u8>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Glyphs {
    asked: bool,
    system: Option<Box<Database>>,
    faces: Vec<FontVec>,
    /// The face of each character seen, if any has it.
    of: BTreeMap<char, Option<usize>>,
}

impl Glyphs {
    /// The system's fonts; takes as long as there are many.
    pub(super) fn look() -> Box<Database> {
        let mut system = Database::new();
        system.load_system_fonts();
        Box::new(system)
    }

    /// Whether they are to be looked for now: once.
    pub(super) const fn are_wanted(&mut self) -> bool {
        let first = !self.asked;
        self.asked = true;
        first
    }

    /// They were found.
    pub(super) fn on_found(&mut self, system: Box<Database>) {
        self.system = Some(system);
    }

    /// Whether they were: what was drawn before may look otherwise now.
    pub(super) const fn are_there(&self) -> bool {
        self.system.is_some()
    }

    /// Draws `c` for a line of `height` pixels; `None` where no font of the system has it.
    pub(super) fn draw(&mut self, c: char, height: u32) -> Option<Glyph> {
        let face = match self.of.get(&c) {
            Some(known) => *known,
            None => {
                let found = self.find(c);
                if self.are_there() {
                    self.of.insert(c, found);
                }
                found
            }
        };
        let font = self.faces.get(face?)?.as_scaled(height as f32);
        let id = font.glyph_id(c);
        let advance = font.h_advance(id).ceil().clamp(0.0, 4.0 * height as f32) as u32;
        let placed = id.with_scale_and_position(height as f32, ab_glyph::point(0.0, font.ascent()));
        let Some(outline) = font.outline_glyph(placed) else { return Some(Glyph { advance, ..Glyph::default() }) };
        let bounds = outline.px_bounds();
        let (w, h) = (bounds.width() as usize, bounds.height() as usize);
        // No outline is drawn that is much larger than the line: such a font is broken.
        if w.max(h) > 8 * height as usize {
            return None;
        }
        let mut coverage = vec![0; w * h];
        outline.draw(|x, y, c| {
            if let Some(to) = coverage.get_mut(y as usize * w + x as usize) {
                *to = (c.clamp(0.0, 1.0) * 255.0) as u8;
            }
        });
        Some(Glyph { w, left: bounds.min.x as i32, top: bounds.min.y as i32, advance, coverage })
    }

    /// The face for a character: one in use, else the most ordinary of the system's that has it.
    fn find(&mut self, c: char) -> Option<usize> {
        if let Some(at) = self.faces.iter().position(|face| face.glyph_id(c).0 != 0) {
            return Some(at);
        }
        let system = self.system.as_ref()?;
        let ordinary = |f: &&FaceInfo| {
            let sans = f.families.iter().any(|(name, _)| name.contains("Sans"));
            (f.style != fontdb::Style::Normal, f.weight.0.abs_diff(400), !sans)
        };
        let mut faces: Vec<&FaceInfo> = system.faces().collect();
        faces.sort_by_key(ordinary);
        let has = |data: &[u8], index: u32| {
            FontRef::try_from_slice_and_index(data, index).is_ok_and(|font| font.glyph_id(c).0 != 0)
        };
        let id = faces.iter().find(|f| system.with_face_data(f.id, has) == Some(true))?.id;
        let (data, index) = system.with_face_data(id, |data, index| (data.to_vec(), index))?;
        self.faces.push(FontVec::try_from_vec_and_index(data, index).ok()?);
        Some(self.faces.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_of_the_systems_fonts_fits_its_line() {
        let mut glyphs = Glyphs::default();
        assert!(glyphs.draw('A', 20).is_none() && glyphs.are_wanted() && !glyphs.are_wanted());
        let system = Glyphs::look();
        if system.is_empty() {
            return println!("skipped: no fonts here");
        }
        glyphs.on_found(system);
        for height in [8, 20, 96] {
            let glyph = glyphs.draw('A', height).expect("some font has it");
            assert!(glyph.advance > 0 && glyph.advance <= 2 * height, "{}", glyph.advance);
            let rows = glyph.coverage.len() / glyph.w;
            assert!(glyph.top >= 0 && glyph.top as usize + rows <= height as usize, "{glyph:?}");
            assert_eq!(glyph.coverage.len(), glyph.w * rows);
            let ink = glyph.coverage.iter().filter(|c| **c > 0x80).count();
            assert!(ink > 0 && ink < glyph.coverage.len(), "{ink} of {}", glyph.coverage.len());
        }
        assert!(glyphs.draw(' ', 20).is_some_and(|g| g.coverage.is_empty() && g.advance > 0));
    }
}
