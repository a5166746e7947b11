//! Groups of records that must not straddle two datasets: one conversation, one user text, near-copies. Works on hashes
//! alone. The result does not depend on the order of the records.

/// The hashes by which records belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupKeys {
    /// The messages of the request, with the masked text of system prompts: they may hold the time of a turn.
    pub(crate) conversation: u64,
    /// The longest [`Prefix`] of the messages. 0 if there is none.
    pub(crate) parent: u64,
    /// The masked text of the first user message.
    pub(crate) user_text: u64,
    /// The masked text of the messages up to and including the first user message.
    pub(crate) opening: u64,
    /// The masked text of all messages.
    pub(crate) whole: u64,
}

/// The beginning of a conversation: key of its messages, and of the next shorter beginning or 0.
pub(crate) type Prefix = (u64, u64);

/// Beginnings of conversations, each once. The turns of a conversation share theirs, so a turn adds two at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefixes {
    all: Vec<Prefix>,
    /// Length of `all` when it last held each once.
    distinct: usize,
}

/// Prefixes that are gathered before repeated ones are looked for.
const PREFIXES_AT_ONCE: usize = 4096;

impl Prefixes {
    pub(crate) fn extend(&mut self, some: Vec<Prefix>) {
        self.all.extend(some);
        // Doubling keeps the time of all sorting within a few times that of the last.
        if self.all.len() > 2 * self.distinct + PREFIXES_AT_ONCE {
            self.sort();
        }
    }

    /// Returns the prefixes in the order of their keys.
    pub(crate) fn sorted(mut self) -> Vec<Prefix> {
        self.sort();
        self.all
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
        self.all.dedup();
        self.distinct = self.all.len();
    }
}

impl AsRef<GroupKeys> for GroupKeys {
    fn as_ref(&self) -> &GroupKeys {
        self
    }
}

/// The reason that the records of a group belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum GroupCause {
    /// Their first user message is the same, or nearly so.
    UserText,
    /// Their messages are the same, or nearly so, and most records have the same user message.
    Messages,
    /// The messages of one record begin the messages of another.
    Conversation,
    /// Their texts share most of their words.
    NearCopy,
}

/// Groups of records, each in the place of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// Equal for records of one group.
    pub(crate) of: Vec<u64>,
    pub(crate) cause: Vec<GroupCause>,
}

/// Groups records by their keys. `prefixes` are in order, and `near` holds pairs of records whose texts are near-copies.
pub(crate) fn group<T: AsRef<GroupKeys>>(keys: &[T], prefixes: &[Prefix], near: &[(u32, u32)]) -> Groups {
    let each = || keys.iter().map(AsRef::as_ref);
    let texts = Texts::new(each());
    let (of, cause): (Vec<u64>, Vec<GroupCause>) = each().map(|keys| texts.key(keys)).unzip();
    let mut groups = Groups { of, cause };
    // Without a second turn every conversation has one text, which is its group already.
    if each().any(|keys| keys.parent != 0) {
        groups.join(&turns(keys, prefixes, &texts), GroupCause::Conversation);
    }
    if !near.is_empty() {
        groups.join(near, GroupCause::NearCopy);
    }
    groups
}

/// Knows which part of the records tells them apart.
struct Texts {
    /// See [`usual_text`].
    usual_text: Option<u64>,
    /// The opening of most of those. Examples stand in front of the text to classify there.
    usual_opening: Option<u64>,
}

impl Texts {
    fn new<'a>(keys: impl Iterator<Item = &'a GroupKeys> + Clone) -> Texts {
        let usual_text = usual_text(keys.clone());
        let of_usual = keys.filter(|keys| Some(keys.user_text) == usual_text);
        let usual_opening = majority(of_usual.map(|keys| keys.opening));
        Texts { usual_text, usual_opening }
    }

    fn key(&self, keys: &GroupKeys) -> (u64, GroupCause) {
        if Some(keys.user_text) != self.usual_text {
            (keys.user_text, GroupCause::UserText)
        } else if Some(keys.opening) != self.usual_opening {
            (keys.opening, GroupCause::Messages)
        } else {
            (keys.whole, GroupCause::Messages)
        }
    }
}

impl Texts {
    /// Returns true for a request that ends with the user message that most records begin with, such as a greeting. All
    /// conversations would be turns of it.
    fn is_usual_start(&self, keys: &GroupKeys) -> bool {
        let is_usual = Some(keys.user_text) == self.usual_text && Some(keys.opening) == self.usual_opening;
        is_usual && keys.whole == keys.opening
    }
}

/// Returns the user text of most records, if there is one. The text to classify stands elsewhere there.
pub(crate) fn usual_text<'a>(keys: impl Iterator<Item = &'a GroupKeys> + Clone) -> Option<u64> {
    majority(keys.map(|keys| keys.user_text))
}

/// Returns the value that more than half of the items have (Boyer and Moore 1981). Of a single item nothing is usual.
pub(crate) fn majority(items: impl Iterator<Item = u64> + Clone) -> Option<u64> {
    let (mut candidate, mut lead) = (None, 0_u64);
    for item in items.clone() {
        if lead == 0 {
            candidate = Some(item);
        }
        lead = if candidate == Some(item) { lead + 1 } else { lead - 1 };
    }
    let (all, same) =
        items.fold((0_u64, 0_u64), |(all, same), item| (all + 1, same + u64::from(Some(item) == candidate)));
    candidate.filter(|_| all > 1 && same * 2 > all)
}

/// Returns pairs of records of one conversation. A turn is paired with the longest of its prefixes that is a record itself:
/// turns in between may have been refused.
fn turns<T: AsRef<GroupKeys>>(keys: &[T], prefixes: &[Prefix], texts: &Texts) -> Vec<(u32, u32)> {
    let each = keys.iter().map(AsRef::as_ref).zip(0..).filter(|(keys, _)| !texts.is_usual_start(keys));
    let mut by_conversation: Vec<(u64, u32)> = each.map(|(keys, at)| (keys.conversation, at)).collect();
    by_conversation.sort_unstable();
    let same = by_conversation.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let mut pairs: Vec<(u32, u32)> = same.map(|pair| (pair[0].1, pair[1].1)).collect();
    let mut records = by_conversation.into_iter().peekable();
    let mut record_of = |key: u64| {
        while records.next_if(|(conversation, _)| *conversation < key).is_some() {}
        records.peek().filter(|(conversation, _)| *conversation == key).map(|(_, at)| *at)
    };
    let found: Vec<Option<u32>> = prefixes.iter().map(|(key, _)| record_of(*key)).collect();
    let place = |key: u64| prefixes.binary_search_by_key(&key, |(key, _)| *key).ok();
    for (keys, at) in keys.iter().map(AsRef::as_ref).zip(0..).filter(|(keys, _)| keys.parent != 0) {
        let mut shorter = std::iter::successors(place(keys.parent), |&at| place(prefixes[at].1));
        pairs.extend(shorter.find_map(|at| found[at]).map(|begins| (begins, at)));
    }
    pairs
}

impl Groups {
    /// Joins the groups of each pair. A joined group has the smallest of its keys.
    fn join(&mut self, pairs: &[(u32, u32)], cause: GroupCause) {
        let all = self.of.len() as u32;
        let mut sets = Sets((0..all).collect());
        let mut by_key: Vec<(u64, u32)> = self.of.iter().copied().zip(0..).collect();
        by_key.sort_unstable();
        by_key.windows(2).filter(|pair| pair[0].0 == pair[1].0).for_each(|pair| sets.join(pair[0].1, pair[1].1));
        pairs.iter().for_each(|&(a, b)| sets.join(a, b));
        let before = self.of.clone();
        for (at, key) in (0..).zip(&before) {
            let root = sets.root(at) as usize;
            self.of[root] = self.of[root].min(*key);
        }
        let mut is_joined = vec![false; before.len()];
        for (at, key) in (0..).zip(&before) {
            let root = sets.root(at) as usize;
            is_joined[root] |= before[root] != *key;
            self.of[at as usize] = self.of[root];
        }
        for at in 0..all {
            if is_joined[sets.root(at) as usize] {
                self.cause[at as usize] = cause;
            }
        }
    }
}

/// Disjoint sets. Each item names another of its set, and the root names itself.
struct Sets(Vec<u32>);

impl Sets {
    fn root(&mut self, mut at: u32) -> u32 {
        while self.0[at as usize] != at {
            let next = self.0[at as usize];
            self.0[at as usize] = self.0[next as usize];
            at = next;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(user_text: u64, rest: u64) -> GroupKeys {
        GroupKeys { conversation: rest, parent: 0, user_text, opening: 1000 + rest, whole: 2000 + rest }
    }

    #[test]
    fn what_most_records_share_ties_nothing_together() {
        let varied = [text(1, 1), text(1, 2), text(2, 3), text(3, 4)];
        assert_eq!(group(&varied, &[], &[]).of, [1, 1, 2, 3]);
        let same_question = [text(1, 1), text(1, 2), text(1, 2), text(3, 4)];
        assert_eq!(group(&same_question, &[], &[]).of, [1001, 2002, 2002, 3]);
        assert_eq!(group(&same_question, &[], &[]).cause[0], GroupCause::Messages);
        let same_examples = [1, 2, 3].map(|n| GroupKeys { opening: 7, ..text(1, n) });
        assert_eq!(group(&same_examples, &[], &[]).of, [2001, 2002, 2003]);
        assert_eq!(group(&[text(1, 1)], &[], &[]).of, [1]);
    }

    #[test]
    fn turns_of_one_conversation_are_one_group() {
        let turn =
            |conversation, parent| GroupKeys { conversation, parent, user_text: 1, opening: 2, whole: conversation };
        // Two conversations behind the same examples, and one that stands alone. The second lacks its turn 21.
        let prefixes = [(5, 0), (10, 5), (11, 10), (20, 5), (21, 20)];
        let keys = [turn(10, 5), turn(11, 10), turn(12, 11), turn(20, 5), turn(22, 21), turn(30, 5)];
        let groups = group(&keys, &prefixes, &[]);
        assert_eq!(groups.of, [10, 10, 10, 20, 20, 30]);
        assert_eq!(groups.cause[2..], [[GroupCause::Conversation; 3].as_slice(), &[GroupCause::Messages]].concat());
    }

    #[test]
    fn a_greeting_that_most_conversations_begin_with_ties_none_together() {
        let first = |conversation| GroupKeys { conversation, parent: 0, user_text: 1, opening: 2, whole: 2 };
        let later = |conversation, parent| GroupKeys { parent, whole: conversation, ..first(conversation) };
        let prefixes = [(5, 0), (10, 5), (11, 10), (20, 5), (21, 20)];
        // The greeting twice, two conversations of two more turns, and one that begins otherwise.
        let other = GroupKeys { conversation: 40, parent: 0, user_text: 3, opening: 3, whole: 3 };
        let keys = [first(5), first(5), later(10, 5), later(11, 10), later(20, 5), later(22, 21), other];
        assert_eq!(group(&keys, &prefixes, &[]).of, [2, 2, 10, 10, 20, 20, 3]);
        // Where few begin so, they are one group, because their first user messages are the same.
        let others: Vec<GroupKeys> = (50..60).map(|n| GroupKeys { conversation: n, user_text: n, ..other }).collect();
        let groups = group(&[&keys[..], &others].concat(), &prefixes, &[]);
        assert_eq!(groups.of[..6], [1; 6]);
    }

    #[test]
    fn prefixes_are_remembered_once() {
        let mut prefixes = Prefixes::default();
        (0..3 * PREFIXES_AT_ONCE as u64).for_each(|n| prefixes.extend(vec![(n % 3 + 1, n % 3)]));
        assert!(prefixes.all.capacity() <= 4 * PREFIXES_AT_ONCE, "memory grows with distinct ones alone");
        assert_eq!(prefixes.sorted(), [(1, 0), (2, 1), (3, 2)]);
    }

    #[test]
    fn near_copies_join_whole_groups() {
        let keys = [text(1, 1), text(1, 2), text(2, 3), text(3, 4), text(4, 5)];
        let groups = group(&keys, &[], &[(1, 3), (3, 4)]);
        assert_eq!(groups.of, [1, 1, 2, 1, 1]);
        assert_eq!(groups.cause.iter().filter(|cause| **cause == GroupCause::NearCopy).count(), 4);
        let usual = [text(1, 1), text(1, 2), text(1, 3), text(2, 4)];
        assert_eq!(group(&usual, &[], &[(0, 1)]).of, [1001, 1001, 1003, 2]);
    }

    proptest::proptest! {
        #[test]
        fn the_order_of_the_records_makes_no_difference(
            keys in proptest::collection::vec((0_u64..6, 0_u64..6, 0_u64..3, 0_u64..4), 1..24),
            turn in 0_usize..24,
        ) {
            let mut keys: Vec<GroupKeys> = keys.into_iter().map(|(conversation, parent, user_text, opening)| {
                GroupKeys { conversation, parent, user_text, opening, whole: 100 + conversation }
            }).collect();
            // Of each key the next smaller ones are prefixes.
            let prefixes = [(1, 0), (2, 1), (3, 0), (4, 3), (5, 2)];
            let before = group(&keys, &prefixes, &[]);
            let turn = turn % keys.len();
            keys.rotate_left(turn);
            let mut after = group(&keys, &prefixes, &[]);
            after.of.rotate_right(turn);
            after.cause.rotate_right(turn);
            proptest::prop_assert_eq!(before, after);
        }
    }
}
