//! Presenting: what the model says is painted into each window that shows a part of it, and only where it changed.

use super::canvas::Bgr;
use super::cursor;
use super::layout::Layout;
use super::live::Live;
use super::paint::pointer_rect;
use super::panel;
use super::present::Presenter;
use super::window::Shell;
use super::{Colour, Model, RendererChoice, UiError, Veil, text};
use telepane_model::{CursorShape, CursorState, Pixels, Rect, Region, Surf};
use winit::event_loop::ActiveEventLoop;

/// What is the same for every window.
struct Common {
    title: String,
    veil: Veil,
    marks: Vec<(Rect<Surf>, Colour)>,
    /// Lines of the overlay, a hint and what was typed: for the window in front alone.
    overlay: Option<Vec<Vec<(String, Colour)>>>,
    hint: Option<String>,
    typed: String,
    front: usize,
    captured: bool,
    /// The pointer is not to be seen.
    hidden: bool,
}

impl<M: Model> Shell<M> {
    /// Follows the model's title, pointer, veil and overlay, and presents what changed.
    pub(super) fn show(&mut self, events: &ActiveEventLoop, damage: &Region<Surf>, all: bool) {
        let common = self.common();
        if let Some(screen) = &mut self.screen {
            screen.keep_awake(self.model.keep_awake(), self.lives.iter().map(|live| &*live.window));
        }
        let over = matches!(common.veil, Veil::Ask { .. } | Veil::Message { .. });
        let mut presented = false;
        for window in 0..self.lives.len() {
            let cursor = self.model.cursor().filter(|_| !over);
            let pixels = self.model.pixels();
            let Some(live) = self.lives.get_mut(window) else { continue };
            let (mut region, moved) = live.follow(events, &common, window, cursor, pixels, damage, all);
            if moved {
                self.pointer.forget();
            }
            if let Some(screen) = &self.screen {
                let composing = live.compose(self.caret.at(), screen, &mut self.glyphs);
                composing.rects().iter().for_each(|r| region.add(*r));
            }
            if region.is_empty() || live.size.area() == 0 {
                continue;
            }
            if let Err(error) = live.present(region, pixels) {
                tracing::warn!(%error, "the renderer failed; softbuffer takes its place");
                live.stale = true;
                let again = (!live.presenter.is_softbuffer())
                    .then(|| Presenter::new(&live.window, Some(RendererChoice::Softbuffer)));
                match again {
                    Some(Ok(presenter)) => {
                        self.renderer(window, presenter);
                        return self.show(events, damage, all);
                    }
                    // One present of softbuffer failed (a resize under way, say): the next one paints everything.
                    None => continue,
                    Some(Err(error)) => {
                        self.error = Some(UiError::Renderer(error.to_string()));
                        return events.exit();
                    }
                }
            }
            live.stale = false;
            presented = true;
        }
        if presented {
            self.seen.on_painted();
            self.model.shown();
        }
    }

    fn common(&mut self) -> Common {
        let veil = self.model.veil();
        if !matches!(veil, Veil::Ask { .. }) {
            self.typed.clear();
        }
        let typed = match &veil {
            Veil::Ask { secret: true, .. } => self.typed.chars().map(|_| text::BULLET).collect(),
            _ => self.typed.clone(),
        };
        let overlay = self.model.overlay();
        Common {
            title: self.model.title(),
            marks: overlay.as_ref().map(|o| o.marks.clone()).unwrap_or_default(),
            overlay: overlay.map(|o| o.lines),
            hint: self.model.hint(),
            veil,
            typed,
            front: self.front(),
            captured: self.pointer.is_captured(),
            hidden: self.hands.hide_the_pointer,
        }
    }
}

impl Live {
    /// Follows what is to be seen; says which part of the window has to be painted, and whether the picture lies elsewhere.
    #[expect(clippy::too_many_arguments, reason = "facts of one moment, from three owners")]
    fn follow(
        &mut self,
        events: &ActiveEventLoop,
        common: &Common,
        number: usize,
        cursor: Option<(&CursorShape, CursorState)>,
        pixels: Option<&Pixels>,
        damage: &Region<Surf>,
        all: bool,
    ) -> (Region<telepane_model::View>, bool) {
        let title = match self.slot.name.is_empty() {
            true => common.title.clone(),
            false => format!("{} – {}", self.slot.name, common.title),
        };
        if title != self.title {
            self.window.set_title(&title);
            self.title = title;
        }
        let want = cursor.map(|(shape, state)| (state.visible && cursor::is_visible(shape)).then_some(shape));
        let want = if common.hidden { Some(None) } else { want };
        let quarters = self.layout.map_or(4, |l| cursor::quarters(l.part().w, l.picture().w));
        self.cursors.follow(&self.window, events, want, common.captured, quarters);

        let front = number == common.front;
        // A question is asked once; the rest is told wherever the person looks.
        let veil = if front || !matches!(common.veil, Veil::Ask { .. }) { common.veil.clone() } else { Veil::Clear };
        let overlay = common.overlay.clone().filter(|_| front).map(|mut lines| {
            lines.push(vec![("drawn by   ".into(), panel::FAINT), (self.presenter.name(), panel::PLAIN)]);
            lines
        });
        let hint = common.hint.clone().filter(|_| front);
        let panels = panel::panels(self.size, self.scale, &veil, &common.typed, overlay, hint);
        let mut region = panel::damage(&self.panels, &panels);
        self.panels = panels;
        self.stale |= common.veil.dims() != self.dim;
        self.dim = common.veil.dims();

        let layout = pixels.and_then(|p| {
            let part = self.slot.part.unwrap_or(p.size().rect());
            Layout::of_part(self.scaling, p.size(), part, self.size)
        });
        let moved = self.layout != layout;
        if moved {
            self.layout = layout;
            self.stale = true;
        }
        let place = |(r, colour): &(Rect<Surf>, Bgr)| layout.map(|l| (l.to_view(*r), *colour));
        let marks: Vec<_> = common.marks.iter().filter_map(place).filter(|(r, _)| !r.is_empty()).collect();
        if marks != self.marks {
            let gone = self.marks.iter().filter(|m| !marks.contains(m));
            let come = marks.iter().filter(|m| !self.marks.contains(m));
            gone.chain(come).for_each(|(r, _)| region.add(*r));
            self.marks = marks;
        }
        // A captured pointer is where the host has it, a free one where the hand has it.
        let host_at = cursor.filter(|_| common.captured).and_then(|(_, state)| self.to_view(state.at));
        self.drawn_at = if common.captured { host_at } else { self.at };
        let pointer = self.cursors.drawn().zip(self.drawn_at).map(|(s, at)| (pointer_rect(s, at), s.id));
        if pointer != self.pointer {
            let places = [self.pointer, pointer].into_iter().flatten();
            places.for_each(|(r, _)| region.add(r.intersect(self.size.rect())));
            self.pointer = pointer;
        }
        if self.stale || all {
            region = self.size.rect().into();
        } else if let Some(layout) = layout {
            damage.rects().iter().for_each(|r| region.add(layout.to_view(*r)));
        }
        (region, moved)
    }
}
