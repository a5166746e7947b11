//! The items of a file outside of tests: how long its functions are, and which public ones say nothing of themselves.

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::paths::{attributes, is_for_tests};

/// The items of one file.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// Every function with a body: its name and its lines, from `fn` to its closing brace.
    pub functions: Vec<(String, usize)>,
    /// Public types, functions and modules without a doc comment.
    pub undocumented: Vec<String>,
    /// `use` items with a glob and modules without a file, through which no import is followed.
    pub unfollowed: Vec<String>,
}

/// Reads a file.
pub(crate) fn of(file: &syn::File) -> Items {
    let mut items = Items::default();
    items.visit_file(file);
    items
}

impl Items {
    fn function(&mut self, name: &syn::Ident, start: proc_macro2::Span, block: &syn::Block) {
        let lines = block.span().end().line + 1 - start.start().line;
        self.functions.push((name.to_string(), lines));
    }

    fn documented(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute], name: &syn::Ident) {
        let is_public = matches!(visibility, syn::Visibility::Public(_));
        if is_public && !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            self.undocumented.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if attributes(item).iter().any(is_for_tests) {
            return;
        }
        match item {
            syn::Item::Struct(item) => self.documented(&item.vis, &item.attrs, &item.ident),
            syn::Item::Enum(item) => self.documented(&item.vis, &item.attrs, &item.ident),
            syn::Item::Trait(item) => self.documented(&item.vis, &item.attrs, &item.ident),
            syn::Item::Type(item) => self.documented(&item.vis, &item.attrs, &item.ident),
            syn::Item::Fn(item) => self.documented(&item.vis, &item.attrs, &item.sig.ident),
            syn::Item::Mod(item) if item.content.is_some() => self.unfollowed.push(format!("mod {}", item.ident)),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.sig.span(), &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_use_glob(&mut self, _: &'ast syn::UseGlob) {
        self.unfollowed.push("use *".to_owned());
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.attrs.iter().any(is_for_tests) {
            return;
        }
        self.documented(&item.vis, &item.attrs, &item.sig.ident);
        self.function(&item.sig.ident, item.sig.span(), &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig.ident, item.sig.span(), block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn lengths_missing_docs_and_what_hides_imports_are_seen() {
    let source = "
/// Says something.
pub fn short() {}
pub struct Silent;
pub(crate) struct Inner;
impl Silent {
    pub fn long(
        &self,
    ) {
        let _ = 1;
    }
}
mod inner {
    use super::*;
}
#[cfg(test)]
mod tests {
    use super::*;
    pub fn silent_test_help() {}
}
";
    let items = of(&syn::parse_str(source).unwrap());
    assert_eq!(items.functions, [("short".to_owned(), 1), ("long".to_owned(), 5)]);
    assert_eq!(items.undocumented, ["Silent", "long"]);
    assert_eq!(items.unfollowed, ["mod inner", "use *"]);
}
