//! Finds simple commands in shell text. It knows quotes, comments, pipes, lists, substitutions and redirections.

/// Returns the words of every simple command in the text, without quotes.
pub(crate) fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let (mut commands, mut words, mut word): (Vec<Vec<String>>, Vec<String>, Option<String>) =
        (Vec::new(), Vec::new(), None);
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('"'), '$') if characters.peek() == Some(&'(') => {
                // The quotes hold a command of their own.
                characters.next();
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
                quote = None;
            }
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while characters.next_if(|&next| next != '\n').is_some() {},
            (None, '\n' | ';' | '|' | '&' | '(' | ')') => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            (None, '>' | '<') => {
                words.extend(word.take().filter(|word| !word.chars().all(|c| c.is_ascii_digit())));
                while characters.next_if(|next| matches!(next, '>' | '&' | ' ')).is_some() {}
                while characters.next_if(|next| !next.is_whitespace() && !matches!(next, ')' | ';' | '|')).is_some() {}
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

#[test]
fn commands_are_found() {
    let text = "a 'b c' # d\nline=$(e \"$f\" | g) >h 2>>i; j \\\n k && l & m\n";
    let found: Vec<String> = commands(text).iter().map(|words| words.join("_")).collect();
    assert_eq!(found, ["a_b c", "line=$", "e_$f", "g", "j_k", "l", "m"]);
}
