//! What draws the events of a running run: the trait, the choice between the views, and several at once.

use crate::run::event::Event;

use super::plain::Plain;
use super::progress::Progress;
use super::{Settings, Ui};

/// Draws what happens; never decides anything.
pub trait View: Send {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Nothing more will happen: whatever is drawn comes off.
    fn close(&mut self);
}

/// Several views of one run, told in order.
#[derive(Default)]
pub struct Views(Vec<Box<dyn View>>);

impl Views {
    /// These views.
    pub fn new(views: Vec<Box<dyn View>>) -> Views {
        Views(views)
    }

    /// One more.
    pub fn add(&mut self, view: impl View + 'static) {
        self.0.push(Box::new(view));
    }
}

impl View for Views {
    fn event(&mut self, event: &Event) {
        for view in &mut self.0 {
            view.event(event);
        }
    }

    fn close(&mut self) {
        for view in &mut self.0 {
            view.close();
        }
    }
}

impl Ui {
    /// The view for this process's stderr: bars on a terminal, a line per step elsewhere, with `-q` only what went wrong.
    pub fn view(&self) -> Box<dyn View> {
        let Settings { quiet, .. } = self.inner.settings;
        if self.inner.err_terminal && !quiet { Box::new(Progress::new(self)) } else { Box::new(Plain::new(self)) }
    }
}
