//! The paths that a source file names: in `use` trees, in types and expressions, and inside macros, whose tokens are
//! read as they stand.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path, without a leading `crate`.
#[derive(Debug)]
pub(crate) struct Used {
    pub path: Vec<String>,
}

/// Returns the paths in a file that lead into its own crate, outside of tests. `name` is its path below src/.
pub(crate) fn of_the_crate(name: &str, file: &syn::File) -> Vec<Used> {
    let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    let mut reader = Reader { module, all: false, found: Vec::new() };
    reader.visit_file(file);
    reader.found
}

/// Returns every path in a file as it is written, outside of tests. Names that the file defines itself are among them.
pub(crate) fn as_written(file: &syn::File) -> Vec<Used> {
    let mut reader = Reader { module: Vec::new(), all: true, found: Vec::new() };
    reader.visit_file(file);
    reader.found
}

/// Returns true if a file holds anything async, outside of tests.
pub(crate) fn is_async(file: &syn::File) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_item(&mut self, item: &'ast syn::Item) {
            if !attributes(item).iter().any(is_for_tests) {
                visit::visit_item(self, item);
            }
        }
        fn visit_signature(&mut self, signature: &'ast syn::Signature) {
            self.0 |= signature.asyncness.is_some();
        }
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {
            self.0 = true;
        }
        fn visit_expr_await(&mut self, _: &'ast syn::ExprAwait) {
            self.0 = true;
        }
    }
    let mut finder = Finder(false);
    finder.visit_file(file);
    finder.0
}

/// The files of modules that a file declares under `#[cfg(test)]`, and the folders with what is below them.
pub(crate) fn test_modules(path: &Path, file: &syn::File) -> Vec<PathBuf> {
    let folder = path.parent().unwrap();
    let own = match path.file_stem().unwrap().to_str().unwrap() {
        "mod" | "lib" | "main" => folder.to_owned(),
        stem => folder.join(stem),
    };
    let mut found = Vec::new();
    for item in &file.items {
        let syn::Item::Mod(module) = item else { continue };
        if module.content.is_some() || !module.attrs.iter().any(is_for_tests) {
            continue;
        }
        let named = module.attrs.iter().find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(syn::MetaNameValue {
                path,
                value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(file), .. }),
                ..
            }) if path.is_ident("path") => Some(folder.join(file.value())),
            _ => None,
        });
        let name = module.ident.to_string();
        match named {
            Some(file) => found.push(file),
            None => found.extend([own.join(format!("{name}.rs")), own.join(&name)]),
        }
    }
    found
}

/// `#[cfg(test)]` and `#[test]`.
pub(crate) fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let is_cfg_test = || attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test");
    attribute.path().is_ident("test") || (attribute.path().is_ident("cfg") && is_cfg_test())
}

pub(crate) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Reader {
    /// The module that is read now.
    module: Vec<String>,
    /// Find every path as it is written, instead of those of this crate.
    all: bool,
    found: Vec<Used>,
}

impl Reader {
    fn add(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        if self.all {
            self.found.push(Used { path: path.to_vec() });
            return;
        }
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let absolute: Vec<String> = match first.as_str() {
            "crate" | "dfwfd" => path[1..].to_vec(),
            "super" => {
                let above = self.module.len().saturating_sub(supers);
                self.module[..above].iter().chain(&path[supers..]).cloned().collect()
            }
            _ => return,
        };
        // `super::*` of a top-level module is the crate itself; what of it is used is named elsewhere.
        if !absolute.is_empty() {
            self.found.push(Used { path: absolute });
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Glob(_) => self.add(&before.clone()),
            syn::UseTree::Name(syn::UseName { ident }) | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                let mut path = before.clone();
                if ident != "self" {
                    path.push(ident.to_string());
                }
                self.add(&path);
            }
        }
    }

    /// Every run of words with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut path));
                    }
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.add(&path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }
}

/// The names that the `use` items of a file bind, also inside of its functions, each with its path as written.
pub(crate) fn bound(file: &syn::File) -> Vec<(String, Vec<String>)> {
    struct Names(Vec<(String, Vec<String>)>);
    impl Names {
        fn read(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
            match tree {
                syn::UseTree::Path(path) => {
                    before.push(path.ident.to_string());
                    self.read(&path.tree, before);
                    before.pop();
                }
                syn::UseTree::Group(group) => group.items.iter().for_each(|one| self.read(one, before)),
                syn::UseTree::Glob(_) => {}
                syn::UseTree::Name(syn::UseName { ident }) if ident == "self" => {
                    self.0.extend(before.last().cloned().map(|name| (name, before.clone())));
                }
                syn::UseTree::Name(syn::UseName { ident }) => {
                    self.0.push((ident.to_string(), [before.as_slice(), &[ident.to_string()]].concat()));
                }
                syn::UseTree::Rename(syn::UseRename { ident, rename, .. }) => {
                    self.0.push((rename.to_string(), [before.as_slice(), &[ident.to_string()]].concat()));
                }
            }
        }
    }
    impl<'ast> Visit<'ast> for Names {
        fn visit_item(&mut self, item: &'ast syn::Item) {
            if !attributes(item).iter().any(is_for_tests) {
                visit::visit_item(self, item);
            }
        }
        fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
            self.read(&item.tree, &mut Vec::new());
        }
    }
    let mut names = Names(Vec::new());
    names.visit_file(file);
    names.0
}
