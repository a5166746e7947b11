//! The items of a file outside of tests: how long its functions are, which public ones say nothing of themselves, and what a
//! file exports.

use std::collections::BTreeSet;

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
    /// Functions, constants and modules that are `pub`.
    pub exported: Vec<String>,
    /// Types that are `pub`, and names of a `pub use`.
    pub exported_types: Vec<String>,
    /// The names in signatures, fields and variants that are `pub`: such types have to be `pub` too.
    pub shown: BTreeSet<String>,
}

/// Collects the names in types.
struct Names<'a>(&'a mut BTreeSet<String>);

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.iter().map(|segment| segment.ident.to_string()));
        visit::visit_path(self, path);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if is_public(&field.vis) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        // The fields of a variant are as public as the enum.
        variant.fields.iter().for_each(|field| self.visit_type(&field.ty));
    }
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
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
        if is_public(visibility) && !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            self.undocumented.push(name.to_string());
        }
    }

    fn export(&mut self, item: &syn::Item) {
        let mut names = Names(&mut self.shown);
        match item {
            syn::Item::Fn(item) if is_public(&item.vis) => {
                names.visit_signature(&item.sig);
                self.exported.push(item.sig.ident.to_string());
            }
            syn::Item::Const(item) if is_public(&item.vis) => {
                names.visit_type(&item.ty);
                self.exported.push(item.ident.to_string());
            }
            syn::Item::Static(item) if is_public(&item.vis) => {
                names.visit_type(&item.ty);
                self.exported.push(item.ident.to_string());
            }
            syn::Item::Mod(item) if is_public(&item.vis) => self.exported.push(item.ident.to_string()),
            syn::Item::Struct(item) if is_public(&item.vis) => {
                names.visit_fields(&item.fields);
                self.exported_types.push(item.ident.to_string());
            }
            syn::Item::Enum(item) if is_public(&item.vis) => {
                item.variants.iter().for_each(|variant| names.visit_variant(variant));
                self.exported_types.push(item.ident.to_string());
            }
            syn::Item::Trait(item) if is_public(&item.vis) => {
                item.items.iter().for_each(|item| names.visit_trait_item(item));
                self.exported_types.push(item.ident.to_string());
            }
            syn::Item::Type(item) if is_public(&item.vis) => {
                names.visit_type(&item.ty);
                self.exported_types.push(item.ident.to_string());
            }
            syn::Item::Use(item) if is_public(&item.vis) => self.exported_types.extend(leaves(&item.tree)),
            _ => {}
        }
    }
}

/// Returns the names that a `use` ends in, each as it is called outside.
fn leaves(tree: &syn::UseTree) -> Vec<String> {
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree),
        syn::UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        syn::UseTree::Name(name) => vec![name.ident.to_string()],
        syn::UseTree::Rename(name) => vec![name.rename.to_string()],
        syn::UseTree::Glob(_) => Vec::new(),
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if attributes(item).iter().any(is_for_tests) {
            return;
        }
        self.export(item);
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
        if is_public(&item.vis) {
            Names(&mut self.shown).visit_signature(&item.sig);
            self.exported.push(item.sig.ident.to_string());
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        if is_public(&item.vis) {
            Names(&mut self.shown).visit_type(&item.ty);
            self.exported.push(item.ident.to_string());
        }
    }

    fn visit_impl_item_type(&mut self, item: &'ast syn::ImplItemType) {
        Names(&mut self.shown).visit_type(&item.ty);
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

#[test]
fn exported_items_and_the_types_they_show_are_seen() {
    let source = "
        pub mod deep;
        pub use deep::{One, Other as Two};
        pub const LIMIT: Count = Count(1);
        pub fn call(ask: &Ask<'_, Word>) -> Result<Answer, Refusal> { hidden() }
        pub struct Answer { pub text: Text, own: Secret }
        pub enum Refusal { Late(Delay), Wrong { why: Reason } }
        pub(crate) fn inner(_: Inner) {}
        fn hidden() {}
        impl Answer {
            pub const LENGTH: Length = 1;
            pub fn cut(self) -> Part { self.own }
            fn own(&self) -> &Own { &self.own }
        }
        impl Iterator for Answer { type Item = Letter; fn next(&mut self) -> Option<Rune> { None } }
        #[cfg(test)] mod tests { pub fn help(_: Help) {} }
    ";
    let items = of(&syn::parse_str(source).unwrap());
    assert_eq!(items.exported, ["deep", "LIMIT", "call", "LENGTH", "cut"]);
    assert_eq!(items.exported_types, ["One", "Two", "Answer", "Refusal"]);
    let shown: Vec<&str> = items.shown.iter().map(String::as_str).collect();
    assert_eq!(
        shown,
        [
            "Answer", "Ask", "Count", "Delay", "Length", "Letter", "Part", "Reason", "Refusal", "Result", "Self",
            "Text", "Word"
        ]
    );
}
