//! JSON fields read without insisting on their type: a field is absent, null, of the wrong type or what was asked for.
//! Knows JSON shapes, not what a record is.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One field of a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Slot<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The value is null.
    Null,
    /// The value has another type than asked for.
    Wrong,
    /// The value.
    Is(T),
}

impl<T> Slot<T> {
    /// Whether the key is not there, or null.
    pub fn is_none(&self) -> bool {
        matches!(self, Slot::Absent | Slot::Null)
    }

    /// The value, if it has the type asked for.
    pub fn get(&self) -> Option<&T> {
        match self {
            Slot::Is(value) => Some(value),
            _ => None,
        }
    }

    /// The value, or `wrong` when it is of another type; absent and null are `None`.
    pub fn optional<E>(self, wrong: E) -> Result<Option<T>, E> {
        match self {
            Slot::Is(value) => Ok(Some(value)),
            Slot::Wrong => Err(wrong),
            Slot::Absent | Slot::Null => Ok(None),
        }
    }
}

/// What can be asked for in a [`Slot`]: each method takes one kind of JSON value and is `None` when that kind is wrong.
pub trait Shape<'de>: Sized {
    /// From an object.
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// From a list.
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// From a text.
    fn from_text(_text: Cow<'de, str>) -> Option<Self> {
        None
    }
}

impl<'de: 'a, 'a> Shape<'de> for Cow<'a, str> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl<'de, T: Deserialize<'de>> Shape<'de> for Vec<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }
}

/// An object of known fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Shape<'de> for Object<T> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Some(Object(value)))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Slot<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SlotVisitor(PhantomData))
    }
}

struct SlotVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for SlotVisitor<T> {
    type Value = Slot<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Slot<T>, E> {
        Ok(Slot::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Slot<T>, E> {
        Ok(Slot::Wrong)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Slot<T>, E> {
        Ok(Slot::Wrong)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Slot<T>, E> {
        Ok(Slot::Wrong)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Slot<T>, E> {
        Ok(Slot::Wrong)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Slot<T>, E> {
        Ok(slot(T::from_text(Cow::Owned(text.to_owned()))))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Slot<T>, E> {
        Ok(slot(T::from_text(Cow::Borrowed(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Slot<T>, A::Error> {
        T::from_seq(seq).map(slot)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Slot<T>, A::Error> {
        T::from_map(map).map(slot)
    }
}

fn slot<T>(value: Option<T>) -> Slot<T> {
    value.map_or(Slot::Wrong, Slot::Is)
}
