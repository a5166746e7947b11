//! Chooses examples. Rows are indexes, their class is the label or the first called function.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The nearest rows that are looked at for each place, so that other classes are among them.
const LOOKED_AT: usize = 5;

/// The shortest rows of each class, while rows are read.
#[derive(Debug)]
pub(crate) struct Shortest<T> {
    most: usize,
    classes: BTreeMap<String, ClassRows<T>>,
}

/// The rows of one class.
#[derive(Debug)]
struct ClassRows<T> {
    all: u64,
    /// The shortest, each with its length.
    shortest: Vec<(usize, T)>,
}

impl<T> Shortest<T> {
    /// Creates a choice of at most `most` rows.
    pub(crate) fn new(most: usize) -> Shortest<T> {
        Shortest { most, classes: BTreeMap::new() }
    }

    /// Looks at the next row.
    pub(crate) fn push(&mut self, class: String, length: usize, row: T) {
        let rows = self.classes.entry(class).or_insert_with(|| ClassRows { all: 0, shortest: Vec::new() });
        rows.all += 1;
        // Of equal rows the first stays first.
        let place = rows.shortest.partition_point(|(other, _)| *other <= length);
        rows.shortest.insert(place, (length, row));
        rows.shortest.truncate(self.most);
    }

    /// Returns the chosen rows in the order in which they are shown: the places are shared evenly among the classes, the
    /// largest class first, and taken in turn, one of each.
    pub(crate) fn in_turn(self) -> Vec<T> {
        // By name among equals: the sort is stable.
        let mut classes: Vec<ClassRows<T>> = self.classes.into_values().collect();
        classes.sort_by_key(|class| Reverse(class.all));
        let (even, more) = (self.most / classes.len().max(1), self.most % classes.len().max(1));
        let share = |(at, class): (usize, ClassRows<T>)| class.shortest.into_iter().take(even + usize::from(at < more));
        let mut shares: Vec<_> = classes.into_iter().enumerate().map(share).collect();
        let mut chosen = Vec::new();
        loop {
            let before = chosen.len();
            chosen.extend(shares.iter_mut().filter_map(|share| share.next().map(|(_, row)| row)));
            if chosen.len() == before {
                return chosen;
            }
        }
    }
}

/// Returns the rows that an eval row shows, nearest first: of those nearest to it, `ratio` of the `most` places go to the
/// nearest, the others first to classes that have no place yet, then to the next nearest rows. `likeness` has an entry for
/// each row. Only an `allowed` row is shown.
pub(crate) fn nearest(
    likeness: &[f32],
    classes: &[String],
    most: usize,
    ratio: f64,
    allowed: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..likeness.len()).collect();
    order.sort_by(|a, b| likeness[*b].total_cmp(&likeness[*a]).then(a.cmp(b)));
    let order: Vec<usize> = order.into_iter().filter(|row| allowed(*row)).take(most * LOOKED_AT).collect();
    // A ratio such as 0.7 is a little less than it says.
    let relevant = ((most as f64).mul_add(ratio, 1e-9).floor() as usize).min(order.len());
    let mut chosen = order[..relevant].to_vec();
    let rest = &order[relevant..];
    for &row in rest.iter().take_while(|_| most > relevant) {
        if chosen.len() < most && chosen.iter().all(|other| classes[*other] != classes[row]) {
            chosen.push(row);
        }
    }
    for &row in rest {
        if chosen.len() < most && !chosen.contains(&row) {
            chosen.push(row);
        }
    }
    chosen
}

/// Returns how many of these costs, in this order, fit into `room`.
pub(crate) fn fitting(costs: impl IntoIterator<Item = u64>, room: u64) -> usize {
    let mut left = room;
    costs.into_iter().take_while(|cost| left.checked_sub(*cost).is_some_and(|rest| (left = rest, true).1)).count()
}
