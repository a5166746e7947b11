//! The templates of evaluation tasks (docs/nemo-api.md, Templates): Jinja with strict undefined, native values for a
//! lone expression, and JSON parsed back after `tojson`.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value as Rendered};
use serde_json::{Map, Value};

use super::python_values;

/// Renders the templates of one job.
#[derive(Debug)]
pub(crate) struct Templates {
    jinja: Environment<'static>,
}

/// The variables of a template: the members of the row and of the sample, and both as `item` and `sample`.
pub(crate) struct Context(Rendered);

impl Context {
    /// Returns the variables of one row. The sample's member wins where both have one.
    pub(crate) fn new(item: &Value, sample: Option<&Value>) -> Self {
        let mut context = Map::new();
        for source in [Some(item), sample].into_iter().flatten().filter_map(Value::as_object) {
            context.extend(source.clone());
        }
        context.insert("item".into(), item.clone());
        if let Some(sample) = sample {
            context.insert("sample".into(), sample.clone());
        }
        Context(python_values::wrapped(&Value::Object(context)))
    }
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut jinja = Environment::new();
        jinja.set_undefined_behavior(UndefinedBehavior::Strict);
        python_values::equip(&mut jinja);
        Templates { jinja }
    }

    /// Renders the body of an inference request: an object as it is, a text as its prompt.
    pub(crate) fn request(&self, template: &Value, context: &Context) -> Result<Map<String, Value>, String> {
        match template {
            Value::Array(_) => Err("a template is an object or a text, not a list".into()),
            Value::String(_) => Ok(Map::from_iter([("prompt".to_owned(), self.render(template, context)?)])),
            _ => match self.render(template, context)? {
                Value::Object(request) => Ok(request),
                _ => Err("a template is an object or a text".into()),
            },
        }
    }

    /// Renders a template of any shape: every string in it is a template, everything else stays.
    pub(crate) fn render(&self, template: &Value, context: &Context) -> Result<Value, String> {
        match template {
            Value::String(text) => self.text(text, context),
            Value::Array(items) => items.iter().map(|item| self.render(item, context)).collect(),
            Value::Object(members) => {
                let mut rendered = Map::new();
                for (key, member) in members {
                    rendered.insert(key.clone(), self.render(member, context)?);
                }
                Ok(Value::Object(rendered))
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&self, text: &str, context: &Context) -> Result<Value, String> {
        let rendered = match lone_expression(text) {
            Some(expression) => self.evaluate(expression, context),
            None => self.jinja.render_str(text, &context.0).map(Value::String),
        };
        let rendered = rendered.map_err(|error| describe(&error))?;
        match rendered {
            // After `tojson` the text should be JSON; with other text around it may not be, and stays text.
            Value::String(json) if text.contains("tojson") => {
                Ok(serde_json::from_str(&json).unwrap_or(Value::String(json)))
            }
            other => Ok(other),
        }
    }

    fn evaluate(&self, expression: &str, context: &Context) -> Result<Value, Error> {
        let value = self.jinja.compile_expression(expression)?.eval(&context.0)?;
        if value.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, format!("{} is undefined", expression.trim())));
        }
        serde_json::to_value(&value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
    }
}

/// Returns the expression if the template is a single `{{ expression }}`.
fn lone_expression(text: &str) -> Option<&str> {
    let lone = text.matches("{{").count() == 1 && text.matches("}}").count() == 1;
    if !lone || text.contains("{%") || text.contains("{#") {
        return None;
    }
    let inside = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    Some(inside.strip_suffix(['-', '+']).unwrap_or(inside))
}

fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item() -> Value {
        json!({
            "request": {"messages": [{"role": "user", "content": "é <a> 'b'"}], "z": 1, "a": 2},
            "response": {"choices": [{"message": {"content": "  [[[Up]]] \n", "tool_calls": null}}]},
            "tools": [{"name": "f"}], "n": 3, "f": 1.0, "yes": true, "none": null, "prompt": "from item",
            "list": ["x", "y"],
        })
    }

    fn render(template: Value) -> Result<Value, String> {
        let sample = json!({"output_text": "Down", "prompt": "from sample", "response": {"choices": [{"message": {"content": "Down"}}]}});
        Templates::new().render(&template, &Context::new(&item(), Some(&sample)))
    }

    #[test]
    fn renders_as_the_table_of_the_wire_reference_says() {
        let cases = [
            // A lone expression keeps its type.
            (json!("{{ item.n }}"), json!(3)),
            (json!("{{item.request.messages}}"), item()["request"]["messages"].clone()),
            (json!("{{ item.none }}"), json!(null)),
            (json!("{{ item.tools[0] }}"), json!({"name": "f"})),
            (json!("{{- item.yes -}}"), json!(true)),
            // After tojson the text is parsed back.
            (json!("{{ item.request.messages | tojson }}"), item()["request"]["messages"].clone()),
            (json!("{{ item.response.choices[0].message.tool_calls | tojson }}"), json!(null)),
            (json!("  {{ item.tools|tojson }}\n"), json!([{"name": "f"}])),
            (json!("Tools: {{ item.list | tojson }}"), json!("Tools: [\"x\", \"y\"]")),
            // Everything else is text.
            (json!("n={{ item.n }}"), json!("n=3")),
            (json!(" {{ item.n }}"), json!(" 3")),
            (json!("{{ item.n }}{{ item.n }}"), json!("33")),
            (json!("{{ item.response.choices[0].message.content | trim }}"), json!("[[[Up]]]")),
            (json!("{{ item.response.choices[-1]['message'].content | trim | lower }}"), json!("[[[up]]]")),
            (json!("<{{ item.request.messages[0].content }}>"), json!("<é <a> 'b'>")),
            (json!("{% for x in item.list %}{{ x }};{% endfor %}"), json!("x;y;")),
            (json!("{% if item.yes %}a{% else %}b{% endif %}"), json!("a")),
            (json!("{{ item.list | join('-') }}/{{ item.list | length }}"), json!("x-y/2")),
            // Values print as in Jinja2.
            (json!("{{ item.none }} {{ item.yes }} {{ item.f }}"), json!("None True 1.0")),
            (json!("{{ item.none | trim }}"), json!("None")),
            // Bare names; the sample wins.
            (json!("{{ n }}"), json!(3)),
            (json!("{{ prompt | trim }}"), json!("from sample")),
            (json!("{{ item.prompt }}"), json!("from item")),
            (json!("{{ sample.output_text }} {{ output_text }}"), json!("Down Down")),
            (json!("{{ item.absent | default('d') }}"), json!("d")),
            // Strings inside structures are rendered.
            (
                json!({"messages": ["{{ item.n }}", 1], "max_tokens": 200, "t": {"x": "{{ item.f }}"}}),
                json!({"messages": [3, 1], "max_tokens": 200, "t": {"x": 1.0}}),
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(render(template.clone()).as_ref(), Ok(&expected), "{template}");
        }
    }

    /// Known differences between minijinja and Jinja2: `~` writes numbers without an exponent, pairs are lists instead
    /// of tuples, and an invalid conversion is an error.
    const OTHERWISE: [&str; 7] = [
        "{{ '<' ~ item.small ~ '>' }}",
        "{{ '<' ~ item.smaller ~ '>' }}",
        "{{ '<' ~ item.large ~ '>' }}",
        "{{ '<' ~ item.larger ~ '>' }}",
        "x {{ item.items_ | items | list }}",
        "x {{ item.items_ | dictsort }}",
        "{{ item.numbers | int }}",
    ];

    #[test]
    fn renders_as_jinja2() {
        let reference: Value =
            serde_json::from_str(include_str!("../../../../testdata/template_reference.json")).unwrap();
        let templates = Templates::new();
        let context = Context::new(&reference["item"], Some(&reference["sample"]));
        let mut different = Vec::new();
        let cases = reference["cases"].as_array().unwrap();
        for case in cases {
            let template = &case["template"];
            let rendered = templates.render(template, &context);
            let expected = case.get("value");
            let same = rendered.as_ref().ok() == expected;
            if same == OTHERWISE.contains(&template.as_str().unwrap()) {
                different.push(format!("{template}: {rendered:?}, not {case}"));
            }
        }
        assert!(different.is_empty(), "{} of {}:\n{}", different.len(), cases.len(), different.join("\n"));
        assert!(cases.len() > 600);
    }

    #[test]
    fn undefined_is_an_error_everywhere() {
        for template in [
            "{{ item.absent }}",
            "{{ absent }}",
            "x {{ item.absent }}",
            "{{ item.absent | trim }}",
            "{{ item.absent | tojson }}",
            "x {{ item.absent | tojson }}",
            "{{ item.list[99] }}",
            "{{ item.absent.deeper }}",
            "{{ item.none.deeper }}",
            "{{ unclosed",
            "{{ item.n | no_such_filter }}",
        ] {
            assert!(render(json!(template)).is_err(), "{template}");
        }
        assert!(render(json!({"tools": ["{{ item.absent | tojson }}"]})).is_err());
    }

    #[test]
    fn a_request_is_an_object_or_a_prompt() {
        let (templates, context) = (Templates::new(), Context::new(&item(), None));
        let request = |template: Value| templates.request(&template, &context);
        assert_eq!(request(json!("Say {{ item.n }}")), Ok(Map::from_iter([("prompt".into(), json!("Say 3"))])));
        assert!(request(json!(["{{ item.n }}"])).is_err());
        assert!(request(json!(7)).is_err());
        assert!(request(json!({"messages": "{{ sample.output_text }}"})).is_err(), "there is no sample yet");
    }
}
