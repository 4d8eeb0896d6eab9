//! The permission file: DCV's own example, the order of rules, and everything that must not parse.

use super::*;
use std::collections::BTreeSet;

const EXAMPLE: &str = "
# who helps whom
[groups]
observers = \"mary ann\", osgroup:visitors
my-group=john, user:jane, group:observers, osgroup:guests

[aliases]
file-management=file-upload, file-download, clipboard-management
clipboard-management = clipboard-copy, clipboard-paste

[permissions]
john allow display file-upload file-download
group:observers deny audio-in audio-out clipboard-management
osgroup:guests allow clipboard-management file-management
%owner% allow builtin
";

fn user(name: &str) -> Actor<'_> {
    Actor { user: Some(name), os_groups: &[], owner: false }
}

fn names(set: FeatureSet) -> Vec<&'static str> {
    set.iter().map(Feature::name).collect()
}

fn fault(text: &str) -> (usize, Fault) {
    let error = Permissions::parse(text).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn dcvs_example_means_what_it_says() {
    let p = Permissions::parse(EXAMPLE).unwrap();
    assert_eq!(names(p.granted(&user("john"))), ["display", "file-download", "file-upload"]);
    assert_eq!(p.granted(&user("stranger")), FeatureSet::NONE);
    let guest = Actor { user: Some("zoe"), os_groups: &["guests"], owner: false };
    assert_eq!(names(p.granted(&guest)), ["clipboard-copy", "clipboard-paste", "file-download", "file-upload"]);
    let owner = Actor { user: None, os_groups: &[], owner: true };
    assert_eq!(p.granted(&owner), FeatureSet::BUILTIN);
    let watched_owner = Actor { user: Some("mary ann"), os_groups: &[], owner: true };
    assert!(!p.allows(&watched_owner, Feature::AudioIn), "deny is final, also before an allow");
    assert!(p.allows(&watched_owner, Feature::Display));
}

#[test]
fn the_order_of_rules_decides_except_for_deny() {
    let rules = |lines: &str| {
        let p = Permissions::parse(&format!("[permissions]\n{lines}")).unwrap();
        p.allows(&user("a"), Feature::Mouse)
    };
    assert!(!rules(""));
    assert!(rules("a allow mouse"));
    assert!(!rules("a allow mouse\na disallow mouse"));
    assert!(rules("a disallow mouse\na allow builtin"));
    assert!(!rules("a deny mouse\na allow mouse"));
    assert!(!rules("a allow mouse\n%any% deny builtin"));
    assert!(rules("b deny mouse\na allow mouse"), "a rule for somebody else");
    assert!(!rules("user:A allow mouse"), "names are told apart by case");
}

#[test]
fn the_attention_sequence_needs_the_keyboard() {
    let p = Permissions::parse("[permissions]\n%any% allow keyboard-sas\nb allow keyboard").unwrap();
    assert!(!p.allows(&user("a"), Feature::KeyboardSas));
    assert!(p.allows(&user("b"), Feature::KeyboardSas));
}

#[test]
fn without_a_file_the_owner_rules_and_an_empty_file_refuses_all() {
    let owner = Actor { user: None, os_groups: &[], owner: true };
    assert_eq!(Permissions::default().granted(&owner), FeatureSet::BUILTIN);
    assert_eq!(Permissions::default().granted(&user("a")), FeatureSet::NONE);
    assert_eq!(Permissions::parse("").unwrap().granted(&owner), FeatureSet::NONE);
}

#[test]
fn errors_name_the_line() {
    assert_eq!(fault("\n[permission]"), (2, Fault::Section("[permission]".into())));
    assert_eq!(fault("john allow display"), (1, Fault::NoSection));
    assert_eq!(fault("[groups]\nx"), (2, Fault::Definition));
    assert_eq!(fault("[groups]\nx = a,,b"), (2, Fault::Definition));
    assert_eq!(fault("[permissions]\n# fine\na allow"), (3, Fault::Permission));
    assert_eq!(fault("[permissions]\na permit display"), (2, Fault::Rule("permit".into())));
    assert_eq!(fault("[permissions]\na allow dispaly"), (2, Fault::Feature("dispaly".into())));
    assert_eq!(fault("[permissions]\ngroup:x deny mouse"), (2, Fault::Group("x".into())));
    assert_eq!(fault("[permissions]\n%all% allow mouse"), (2, Fault::Actor("%all%".into())));
    assert_eq!(fault("[permissions]\ngroup: allow mouse"), (2, Fault::Actor("group:".into())));
    assert_eq!(fault("[permissions]\n\"a allow mouse"), (2, Fault::Quote));
    assert_eq!(fault("[aliases]\nmouse = display"), (2, Fault::Twice("mouse".into())));
    assert_eq!(fault("[groups]\nx = a\nx = b"), (3, Fault::Twice("x".into())));
    let text = Permissions::parse("[permissions]\na allow dispaly").unwrap_err().to_string();
    assert_eq!(text, "line 2: unknown feature or alias \"dispaly\"");
}

#[test]
fn circles_are_refused_and_deep_nests_too() {
    assert!(matches!(fault("[groups]\na = group:b\nb = group:a"), (_, Fault::Nested(_))));
    assert!(matches!(fault("[aliases]\na = a"), (2, Fault::Nested(_))));
    let mut chain = String::from("[aliases]\n");
    for i in 0..20 {
        chain.push_str(&format!("a{i} = a{}, a{}\n", i + 1, i + 1));
    }
    chain.push_str("a20 = mouse\n");
    assert!(matches!(fault(&chain).1, Fault::Nested(_)), "and without walking 2^20 paths");
}

#[test]
fn imports_are_read_in_place_and_bounded() {
    let mut import = |path: &str| match path {
        "base.perm" => Ok("[permissions]\n%any% allow builtin\n".to_owned()),
        "loop.perm" => Ok("#import loop.perm".to_owned()),
        "bad.perm" => Ok("\n[x]".to_owned()),
        "huge.perm" => Ok("#".repeat(MAX_TEXT)),
        _ => Err("no such file".to_owned()),
    };
    let p = Permissions::parse_with("#import base.perm\n[permissions]\na disallow mouse", &mut import).unwrap();
    assert!(p.allows(&user("b"), Feature::Mouse) && !p.allows(&user("a"), Feature::Mouse));
    let mut fails = |text: &str| Permissions::parse_with(text, &mut import).unwrap_err().to_string();
    assert!(fails("#import loop.perm").contains("imports within one another"));
    assert_eq!(fails("#import gone.perm"), "line 1: cannot import \"gone.perm\": no such file");
    assert!(fails("#import bad.perm").starts_with("bad.perm: line 2: unknown section"));
    assert!(fails("#import huge.perm\n").contains("bytes"));
    assert!(Permissions::parse("#import x").is_err() && Permissions::parse("#important").is_ok());
}

#[test]
fn names_of_features_are_dcvs_and_unique() {
    let names: BTreeSet<_> = Feature::ALL.iter().map(|f| f.name()).collect();
    assert_eq!(names.len(), Feature::ALL.len());
    assert!(Feature::ALL.is_sorted_by_key(|f| f.name()));
    for f in Feature::ALL {
        assert_eq!(f.name().parse(), Ok(*f));
        assert!(FeatureSet::BUILTIN.has(*f));
    }
}
