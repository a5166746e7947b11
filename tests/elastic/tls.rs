//! HTTPS with an own authority and a password: access, and the messages without it.

use crate::harness::{Dfwfd, Folder, files_below, log, project};

/// The URL of the server with user and password in it, and the PEM file of its authority.
#[derive(Clone)]
pub(crate) struct Secured {
    url: String,
    ca: String,
}

impl Secured {
    /// Reads the line that `scripts/search-server.sh start NAME --tls` prints.
    pub(crate) fn of(line: &str) -> Secured {
        let (url, ca) = line.trim().split_once(' ').unwrap_or_else(|| panic!("URL and PEM file: {line}"));
        Secured { url: url.to_owned(), ca: ca.to_owned() }
    }

    fn user_and_password(&self) -> (&str, &str) {
        let inner = self.url.trim_start_matches("https://").split('@').next().unwrap();
        inner.split_once(':').unwrap()
    }

    /// Returns the URL without user and password.
    fn bare(&self) -> String {
        format!("https://{}", self.url.rsplit('@').next().unwrap())
    }

    fn dfwfd(&self, folder: &Folder, url: &str, ca: &str, arguments: &[&str]) -> Dfwfd {
        let set = format!("logs.elasticsearch.ca_cert={ca}");
        let index = format!("dfwfd-{}", std::process::id());
        let command = folder.dfwfd(arguments).env("ELASTICSEARCH_URL", url).env("ES_COLLECTION_NAME", &index);
        if ca.is_empty() { command } else { command.args(["--set", &set]) }
    }
}

pub(crate) fn a_url_with_a_password_and_an_authority_open_the_server(server: &Secured) {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 200));
    let load = server.dfwfd(&folder, &server.url, &server.ca, &["load", "logs.jsonl", "-vv"]).run();
    load.code(0).says("loaded into Elasticsearch");
    let split = server.dfwfd(&folder, &server.url, &server.ca, &["split", "--out", "out", "-vv"]).run();
    split.code(0);
    let listed = server.dfwfd(&folder, &server.url, &server.ca, &["logs", "--format", "json", "-vv"]).run();
    assert_eq!(listed.code(0).json()["workloads"][0]["records"], 200);
    let (_, password) = server.user_and_password();
    for output in [load, split, listed] {
        assert!(!output.stdout.contains(password) && !output.stderr.contains(password), "{output}");
    }
    for (path, bytes) in files_below(folder.path()) {
        assert!(!String::from_utf8_lossy(&bytes).contains(password), "{}", path.display());
    }
}

pub(crate) fn named_variables_open_the_server(server: &Secured) {
    let folder =
        Folder::with_config("logs: {source: elasticsearch, elasticsearch: {username_env: WHO, password_env: WHAT}}\n");
    folder.write("logs.jsonl", log("w", 3));
    let (user, password) = server.user_and_password();
    let load = |password: &str| {
        let command = server.dfwfd(&folder, &server.bare(), &server.ca, &["load", "logs.jsonl"]);
        command.env("WHO", user).env("WHAT", password).run()
    };
    load(password).code(0);
    let wrong = load("wrong-password");
    wrong.code(3).says("the server refuses access (401)").hints();
    assert!(!wrong.stderr.contains("wrong-password"), "{wrong}");
}

pub(crate) fn without_a_password_access_is_refused(server: &Secured) {
    let folder = Folder::new();
    for command in [&["logs"][..], &["split", "--out", "out"]] {
        let output = server.dfwfd(&folder, &server.bare(), &server.ca, command).run();
        output.code(3).says("the server refuses access (401)").says("hint: set ELASTICSEARCH_API_KEY");
    }
}

pub(crate) fn an_authority_that_is_not_known_is_said_with_its_remedy(server: &Secured) {
    let folder = Folder::new();
    let another = project().join("tests/elastic/another-ca.pem");
    for ca in ["", another.to_str().unwrap()] {
        let output = server.dfwfd(&folder, &server.url, ca, &["logs"]).run();
        output
            .code(3)
            .says("the certificate of the server is not trusted")
            .says("hint: set logs.elasticsearch.ca_cert");
    }
    let off = ["logs", "--set", "logs.elasticsearch.verify=false"];
    let output = server.dfwfd(&folder, &server.url, "", &off).run();
    assert!(matches!(output.code, Some(0 | 6)), "{output}");
    let off = ["split", "--out", "out", "--set", "logs.elasticsearch.verify=false"];
    server.dfwfd(&folder, &server.url, "", &off).run().says("logs.elasticsearch.verify is false");
}

pub(crate) fn plain_http_is_not_what_it_speaks(server: &Secured) {
    let folder = Folder::new();
    let plain = server.url.replace("https://", "http://");
    server.dfwfd(&folder, &plain, "", &["logs"]).run().code(3).says("https").hints();
}
