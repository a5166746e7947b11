//! A run as a document to pass on: an HTML page, Markdown, or JUnit's XML. `view` turns the report into words once, and the
//! templates beside it say where they stand. The page needs nothing else: no network, no script; it is readable on paper,
//! on a phone and in the dark.

mod cases;
mod chart;
mod charts;
mod detail;
mod extras;
mod view;
mod words;

use anyhow::Context as _;
use minijinja::{AutoEscape, Environment, Value, context, escape_formatter};

use super::json::Report;

pub(crate) use extras::Extras;

/// The form of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Markdown,
    JUnit,
}

/// The escaping of text in Markdown.
const MARKDOWN: AutoEscape = AutoEscape::Custom("markdown");

/// Renders a run.
///
/// # Errors
/// Fails only if a template does not fit its data, which a test rules out.
pub(crate) fn render(report: &Report, extras: &Extras, form: Form) -> anyhow::Result<String> {
    let mut templates = Environment::new();
    templates.set_trim_blocks(true);
    templates.set_lstrip_blocks(true);
    templates.set_auto_escape_callback(|name| if name.ends_with(".md") { MARKDOWN } else { AutoEscape::Html });
    templates.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::Custom(_) => Ok(std::fmt::Write::write_str(out, &in_markdown(&value.to_string()))?),
        _ => escape_formatter(out, state, value),
    });
    templates.add_template("page.html", include_str!("page.html"))?;
    templates.add_template("page.md", include_str!("page.md"))?;
    templates.add_template("junit.xml", include_str!("junit.xml"))?;
    templates.add_template("chart.svg", include_str!("chart.svg"))?;
    templates.add_function("chart", |state: &minijinja::State<'_, '_>, chart: Value| {
        let template = state.env().get_template("chart.svg")?;
        template.render(context! { chart }).map(Value::from_safe_string)
    });
    let page = view::Page::new(report, extras);
    let context = context! { page, style => include_str!("style.css"), version => env!("CARGO_PKG_VERSION") };
    let template = templates.get_template(match form {
        Form::Html => "page.html",
        Form::Markdown => "page.md",
        Form::JUnit => "junit.xml",
    })?;
    template.render(context).with_context(|| format!("cannot render the report of run {}", report.run))
}

/// Escapes what Markdown would take for markup. Text of several lines stays in its cell.
fn in_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => out.extend(['\\', letter]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests;
