//! Views of a run: what they have in common, and several of them at once.

use crate::run::event::Event;

/// Shows the events of a run. Decides nothing.
pub trait View: Send {
    /// Shows an event.
    fn event(&mut self, event: &Event);

    /// Removes what is drawn. No event follows.
    fn close(&mut self);
}

/// Several views of one run. Each event goes to them in order.
#[derive(Default)]
pub struct Views(Vec<Box<dyn View>>);

impl Views {
    /// Returns the group of these views.
    pub fn new(views: Vec<Box<dyn View>>) -> Views {
        Views(views)
    }

    /// Adds a view.
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
