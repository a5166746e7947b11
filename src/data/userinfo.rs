//! Takes user names and passwords out of URLs: URLs are shown and stored, passwords are not.

/// Splits a URL into the URL without user name and password, and these two.
pub(crate) fn apart(url: &str) -> (String, Option<(String, String)>) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let Some(at) = url[start..end].rfind('@').map(|at| start + at) else { return (url.to_owned(), None) };
    let (user, password) = url[start..at].split_once(':').unwrap_or((&url[start..at], ""));
    (format!("{}{}", &url[..start], &url[at + 1..]), Some((decoded(user), decoded(password))))
}

/// Decodes percent-encoded bytes. Returns the text unchanged if they are not UTF-8.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).and_then(|two| std::str::from_utf8(two).ok()).filter(|_| *first == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn a_password_is_taken_out_of_a_url() {
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        for (url, bare, found) in [
            ("https://elastic:hunter2@es.test:9200/logs", "https://es.test:9200/logs", both("elastic", "hunter2")),
            ("http://u:p%40ss%3A@h", "http://h", both("u", "p@ss:")),
            ("http://u:p@ss@h/a@b", "http://h/a@b", both("u", "p@ss")),
            ("http://u@h", "http://h", both("u", "")),
            ("http://h:9200/x", "http://h:9200/x", None),
            ("http://h/a@b", "http://h/a@b", None),
            ("u:50%@h", "h", both("u", "50%")),
            ("u:%ff@h", "h", both("u", "%ff")),
        ] {
            assert_eq!(apart(url), (bare.to_owned(), found), "{url}");
        }
    }
}
