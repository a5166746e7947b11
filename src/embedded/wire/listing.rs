//! Lists as the services answer them: filter, search, sort, page, envelope (docs/nemo-api.md, Lists).

use std::cmp::Ordering;

use axum::http::Uri;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// A list request.
#[derive(Debug)]
pub(crate) struct ListQuery {
    page: usize,
    page_size: usize,
    sort: String,
    filters: Vec<Condition>,
    searches: Vec<Condition>,
}

/// One condition, `filter[a][b]=x,y`: a path, and the values of which one must match.
#[derive(Debug)]
struct Condition {
    path: Vec<String>,
    values: Vec<String>,
}

/// The fields of a list: those it sorts by, and those that are not plain members of a row.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) sort: &'static [&'static str],
    /// Returns the value of a filter field that is not a top-level member of a row, such as `peft.lora`.
    pub(crate) derived: fn(&Value, &str) -> Option<Value>,
}

impl Columns {
    /// Returns columns whose filter fields are all plain members.
    pub(crate) const fn plain(sort: &'static [&'static str]) -> Self {
        Columns { sort, derived: |_, _| None }
    }
}

/// Decodes the pairs of a query string or a form body; `+` means a space.
pub(crate) fn pairs(encoded: &str) -> Vec<(String, String)> {
    match reqwest::Url::parse(&format!("http://localhost/?{encoded}")) {
        Ok(url) => url.query_pairs().into_owned().collect(),
        Err(_) => Vec::new(),
    }
}

/// Returns the value of a query parameter.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = pairs(uri.query().unwrap_or_default());
    query.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

impl ListQuery {
    /// Reads the query string.
    pub(crate) fn parse(uri: &Uri, columns: Columns) -> Result<Self, Refusal> {
        let mut query =
            ListQuery { page: 1, page_size: 10, sort: "created_at".into(), filters: Vec::new(), searches: Vec::new() };
        for (key, value) in pairs(uri.query().unwrap_or_default()) {
            match key.as_str() {
                "page" => query.page = whole(&key, &value)?,
                "page_size" => query.page_size = whole(&key, &value)?,
                "sort" => query.sort = value,
                _ => {
                    if let Some(path) = path(&key, "filter") {
                        query.filters.push(Condition::new(path, &value));
                    } else if let Some(path) = path(&key, "search") {
                        query.searches.push(Condition::new(path, &value));
                    }
                }
            }
        }
        let field = query.sort.strip_prefix('-').unwrap_or(&query.sort);
        if !columns.sort.contains(&field) {
            let text = format!("Input should be one of {}, each with an optional '-'", columns.sort.join(", "));
            return Err(invalid("sort", "enum", &text));
        }
        Ok(query)
    }

    /// Returns the requested page in its envelope; `rows` come oldest first.
    pub(crate) fn answer(self, rows: impl Iterator<Item = Value>, columns: Columns) -> Value {
        let mut rows: Vec<Value> = rows
            .filter(|row| self.filters.iter().all(|filter| filter.equals(row, columns)))
            .filter(|row| self.searches.iter().all(|search| search.contained(row, columns)))
            .collect();
        match self.sort.strip_prefix('-') {
            None => rows.sort_by(|a, b| compare(&a[&self.sort], &b[&self.sort])),
            Some(field) => {
                rows.reverse();
                rows.sort_by(|a, b| compare(&b[field], &a[field]));
            }
        }
        let total = rows.len();
        let start = (self.page - 1).saturating_mul(self.page_size);
        let data: Vec<Value> = rows.into_iter().skip(start).take(self.page_size).collect();
        json!({
            "object": "list",
            "pagination": {
                "page": self.page,
                "page_size": self.page_size,
                "current_page_size": data.len(),
                "total_pages": total.div_ceil(self.page_size).max(1),
                "total_results": total,
            },
            "data": data,
            "sort": self.sort,
            "filter": echo(&self.filters),
            "search": if self.searches.is_empty() { Value::Null } else { echo(&self.searches) },
        })
    }
}

impl Condition {
    fn new(path: Vec<String>, value: &str) -> Self {
        Condition { path, values: value.split(',').map(str::to_owned).collect() }
    }

    /// Returns the value that the condition tests, and the comparison at the end of its path.
    fn subject<'a>(&'a self, row: &Value, columns: Columns) -> (Option<Value>, Option<&'a str>) {
        if let Some(value) = (columns.derived)(row, &self.path.join(".")) {
            return (Some(value), None);
        }
        let (field, rest) = self.path.split_first().map_or(("", &[][..]), |(field, rest)| (field.as_str(), rest));
        let mut value = (columns.derived)(row, field).or_else(|| row.get(field).cloned());
        for step in rest {
            if matches!(step.as_str(), "eq" | "neq" | "gt" | "gte" | "lt" | "lte" | "start" | "end") {
                return (value, Some(step));
            }
            value = value.and_then(|value| value.get(step).cloned());
        }
        (value, None)
    }

    fn equals(&self, row: &Value, columns: Columns) -> bool {
        let (value, comparison) = self.subject(row, columns);
        let Some(value) = value.filter(|value| !value.is_null()) else { return false };
        // One match suffices among several values of a member.
        let held = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        held.iter().any(|value| self.holds(value, comparison))
    }

    fn holds(&self, value: &Value, comparison: Option<&str>) -> bool {
        self.values.iter().any(|wanted| {
            let order = if comparison == Some("end") && is_day(wanted) {
                // Includes that day.
                plain(value).get(..wanted.len()).map(|day| day.cmp(wanted))
            } else {
                order(value, wanted)
            };
            match comparison {
                None | Some("eq") => order == Some(Ordering::Equal),
                Some("neq") => order != Some(Ordering::Equal),
                Some("gt") => order == Some(Ordering::Greater),
                Some("lt") => order == Some(Ordering::Less),
                Some("gte" | "start") => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                _ => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            }
        })
    }

    fn contained(&self, row: &Value, columns: Columns) -> bool {
        // A search looks into a member; a filter may only ask whether it is there.
        let plain_only = Columns { derived: |_, _| None, ..columns };
        let held = self.path.first().is_some_and(|field| row.get(field).is_some());
        let (value, comparison) = self.subject(row, if held { plain_only } else { columns });
        if comparison.is_some() {
            return self.equals(row, columns);
        }
        let Some(value) = value.filter(|value| !value.is_null()) else { return false };
        // Values without a name are searched as JSON.
        let unnamed = value.is_array() || value.as_object().is_some_and(|object| !object.contains_key("name"));
        let text = if unnamed { value.to_string() } else { plain(&value) };
        self.values.iter().any(|wanted| text.contains(wanted.as_str()))
    }
}

/// Compares a member with the text of a query: as numbers or times if both are, otherwise as text. An inline entity
/// counts as its name, or as `namespace/name`.
fn order(value: &Value, wanted: &str) -> Option<Ordering> {
    if let (Some(value), Ok(wanted)) = (value.as_f64(), wanted.parse::<f64>()) {
        return value.partial_cmp(&wanted);
    }
    let text = plain(value);
    if let (Some(value), Some(wanted)) = (moment(&text), moment(wanted)) {
        return Some(value.cmp(&wanted));
    }
    let inside = value["namespace"].as_str().filter(|_| wanted.contains('/'));
    let text = inside.map_or(text.clone(), |namespace| format!("{namespace}/{text}"));
    Some(text.as_str().cmp(wanted))
}

/// Parses a time in any form that services and clients write.
fn moment(text: &str) -> Option<Timestamp> {
    if !text.contains('-') {
        return None;
    }
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp());
    text.parse().ok().or_else(|| text.parse().ok().and_then(utc))
}

/// Returns whether a text is a date without a time.
fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

/// Returns a member as text; an inline entity as its name.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(object) => object.get("name").map(plain).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => plain(a).cmp(&plain(b)),
    }
}

fn whole(key: &str, value: &str) -> Result<usize, Refusal> {
    match value.parse() {
        Ok(number) if number >= 1 => Ok(number),
        Ok(_) => Err(invalid(key, "greater_than", "Input should be greater than 0")),
        Err(_) => Err(invalid(key, "int_parsing", "Input should be a valid integer")),
    }
}

fn invalid(key: &str, kind: &str, text: &str) -> Refusal {
    Refusal::invalid(vec![json!({"type": kind, "loc": ["query", key], "msg": text})])
}

/// Splits `prefix[a][b]` into its steps.
fn path(key: &str, prefix: &str) -> Option<Vec<String>> {
    let rest = key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
    Some(rest.split("][").map(str::to_owned).collect())
}

fn echo(conditions: &[Condition]) -> Value {
    let mut echo = Map::new();
    for condition in conditions {
        echo.insert(condition.path.join("."), Value::String(condition.values.join(",")));
    }
    Value::Object(echo)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        sort: &["created_at", "name"],
        derived: |row, field| (field == "model").then(|| row["spec"]["model"].clone()),
    };

    fn rows() -> Vec<Value> {
        (0..25)
            .map(|i| {
                json!({"name": format!("row-{:02}", 24 - i), "created_at": "2025-01-01T00:00:00", "n": i,
                "spec": {"model": if i % 2 == 0 { "even" } else { "odd" }}})
            })
            .collect()
    }

    fn ask(query: &str) -> Value {
        let uri: Uri = format!("/v1/rows?{query}").parse().unwrap();
        ListQuery::parse(&uri, COLUMNS).map(|query| query.answer(rows().into_iter(), COLUMNS)).unwrap()
    }

    fn names(answer: &Value) -> Vec<&str> {
        answer["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn pages_until_past_the_end() {
        let last = ask("page=3");
        assert_eq!(names(&last).len(), 5);
        assert_eq!(last["pagination"]["total_pages"], 3);
        let past = ask("page=4");
        assert_eq!(past["data"], json!([]));
        assert_eq!(past["pagination"]["total_results"], 25);
    }

    #[test]
    fn sorts_newest_first_even_at_equal_times() {
        assert_eq!(names(&ask("sort=-created_at&page_size=2")), ["row-00", "row-01"]);
        assert_eq!(names(&ask("sort=-name&page_size=2")), ["row-24", "row-23"]);
    }

    #[test]
    fn filters_by_raw_and_encoded_brackets() {
        assert_eq!(names(&ask("filter%5Bname%5D=row-03,row-04")), ["row-04", "row-03"]);
        assert_eq!(ask("filter[model]=odd")["pagination"]["total_results"], 12);
        assert_eq!(ask("filter[n][gte]=20")["pagination"]["total_results"], 5);
        assert_eq!(ask("filter[absent]=x")["pagination"]["total_results"], 0);
        assert_eq!(ask("search[name]=w-1")["pagination"]["total_results"], 10);
        assert_eq!(ask("search[spec]=odd")["pagination"]["total_results"], 12);
        assert_eq!(ask("filter[spec][model]=even")["pagination"]["total_results"], 13);
    }

    #[test]
    fn times_compare_as_times_whatever_their_form() {
        let found = |query: &str| ask(query)["pagination"]["total_results"].clone();
        for (query, count) in [
            ("filter[created_at][gte]=2025-01-01", 25),
            ("filter[created_at][gte]=2025-01-01T00:00:00.000Z", 25),
            ("filter[created_at][gt]=2025-01-01T02:00:00%2B02:00", 0),
            ("filter[created_at][lt]=2025-01-01T00:00:00.5Z", 25),
            ("filter[created_at][neq]=2025-01-01T00:00:00", 0),
            ("search[created_at][start]=2025-01-02", 0),
            ("search[created_at][end]=2025-01-01", 25),
            ("search[created_at][end]=2024-12-31", 0),
        ] {
            assert_eq!(found(query), count, "{query}");
        }
    }

    #[test]
    fn an_inline_entity_is_found_by_its_name_and_with_its_namespace() {
        let inline = json!({"namespace": "ns", "name": "x"});
        for (wanted, expected) in [("x", true), ("ns/x", true), ("other/x", false), ("ns", false)] {
            assert_eq!(order(&inline, wanted) == Some(Ordering::Equal), expected, "{wanted}");
        }
    }

    #[test]
    fn refuses_what_is_no_page_and_no_field() {
        for query in ["page=0", "page=x", "page_size=-1", "sort=colour"] {
            let uri: Uri = format!("/v1/rows?{query}").parse().unwrap();
            assert!(ListQuery::parse(&uri, COLUMNS).is_err(), "{query}");
        }
    }
}
