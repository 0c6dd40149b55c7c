//! The rooms of a crate, its files and folders directly under `src`, and the arrows between them are as
//! ARCHITECTURE.md shows them, and no arrow goes up. Folders within a folder form no circle. No name stands
//! for two types of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/sources.rs"]
mod sources;

use sources::sources;

/// The crates, each with what its picture leaves out: the crate's page, the program's entry, modules that
/// only fuzz targets use, and errors that know every room.
const CRATES: [(&str, &[&str]); 7] = [
    ("virpack-core", &["lib", "fuzzing", "error"]),
    ("virpack-model", &["lib", "fuzzing", "error"]),
    ("virpack-device", &["lib"]),
    ("virpack-seq", &["lib", "fuzzing"]),
    ("virpack-store", &["lib"]),
    ("virpack", &["lib", "main"]),
    ("virpack-python", &["lib"]),
];

/// Several types share these names, because they mean the same: the arguments of a command, and a type with a
/// form for each kind of target.
const SHARED: [(&str, &str); 2] = [("virpack", "Arguments"), ("virpack-model", "Numbers")];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Returns the name at the beginning of `text`.
fn name(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    &text[..text.find(|c| !is_part(c)).unwrap_or(text.len())]
}

/// Returns the names after `crate::` in `text`, one or a list in braces.
fn named(text: &str) -> Vec<&str> {
    let Some(list) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut depth, mut names) = (0, vec![name(list.trim_start())]);
    for (i, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(list[i + 1..].trim_start())),
            _ => {}
        }
    }
    names
}

/// Returns a source without its comments and without the tests at its end.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the name of the type that a line of a source defines outside of functions and implementations.
fn type_in(line: &str) -> Option<&str> {
    let item = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    kinds.into_iter().find_map(|kind| item.strip_prefix(kind)).map(name)
}

/// Returns the room of each name that `lib.rs` re-exports: `crate::Name` is a name of that room.
fn re_exports(lib: &str) -> BTreeMap<String, String> {
    let statements = lib.split(';').filter_map(|statement| statement.split_once(" use ")?.1.split_once("::"));
    let names = statements.flat_map(|(room, names)| {
        let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.filter(|name| !name.is_empty()).map(|name| (name.to_owned(), room.to_owned()))
    });
    names.collect()
}

/// Returns the folder of a crate's sources.
fn source_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src")
}

/// Returns the path of a file's module, from the root of the crate whose sources are in `src`.
fn module_of(path: &Path, src: &Path) -> Vec<String> {
    let path = path.strip_prefix(src).unwrap().with_extension("");
    path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// Returns a source in which each path that begins with `super::` begins with `crate::`.
fn absolute_code_of(path: &Path, module: &[String]) -> String {
    (1..=module.len()).rev().fold(code_of(path), |code, up| {
        let above = module[..module.len() - up].iter().map(|part| format!("{part}::"));
        code.replace(&"super::".repeat(up), &format!("crate::{}", above.collect::<String>()))
    })
}

/// Returns from which rooms of the module `inside` each of its rooms takes names. The crate itself is the
/// module without a name.
fn arrows(src: &Path, inside: &[String]) -> Arrows {
    let files = sources(src).into_iter().map(|path| (module_of(&path, src), path));
    let files: Vec<_> =
        files.filter(|(module, _)| module.len() > inside.len() && module.starts_with(inside)).collect();
    let mut arrows: Arrows =
        files.iter().map(|(module, _)| (module[inside.len()].clone(), BTreeSet::new())).collect();
    let own_file = src.join(if inside.is_empty() { "lib".into() } else { inside.join("/") });
    let shown = re_exports(&code_of(&own_file.with_extension("rs")));
    let prefix = inside.iter().fold("crate::".to_owned(), |prefix, part| prefix + part + "::");
    for (module, path) in &files {
        let (code, own) = (absolute_code_of(path, module), &module[inside.len()]);
        for (at, _) in code.match_indices(&prefix) {
            for other in named(&code[at + prefix.len()..]) {
                let other = shown.get(other).map_or(other, String::as_str);
                if other != own && arrows.contains_key(other) {
                    arrows.get_mut(own).unwrap().insert(other.to_owned());
                }
            }
        }
    }
    arrows
}

/// Returns the arrows without these rooms.
fn without(mut arrows: Arrows, left_out: impl Fn(&str) -> bool) -> Arrows {
    arrows.retain(|room, _| !left_out(room));
    arrows.values_mut().for_each(|others| others.retain(|room| !left_out(room)));
    arrows
}

/// Returns the rooms that are part of a circle, or lead to one.
fn circles(mut arrows: Arrows) -> Arrows {
    loop {
        let before = arrows.len();
        let ends: Vec<String> =
            arrows.iter().filter(|(_, others)| others.is_empty()).map(|(room, _)| room.clone()).collect();
        arrows = without(arrows, |room| ends.iter().any(|end| end == room));
        if arrows.len() == before {
            return arrows;
        }
    }
}

/// Returns the folders of modules below `folder`.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let own = entries.filter(|path| path.is_dir() && path.with_extension("rs").exists());
    own.flat_map(|path| [vec![path.clone()], folders(&path)].concat()).collect()
}

/// Returns the rooms of a crate's picture from top to bottom, each with those from which it takes names.
fn picture(name: &str) -> Vec<(String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split_once(&format!("## The rooms of `{name}`")).expect("the section of the rooms").1;
    let picture = section.split("```").nth(1).unwrap().trim_start_matches("text");
    let line = |line: &str| {
        let (room, others) = line.split_once("->").unwrap_or((line, ""));
        (room.trim().to_owned(), others.split_whitespace().map(str::to_owned).collect())
    };
    picture.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

#[test]
fn rooms_and_arrows_are_as_architecture_md_shows_them() {
    for (name, left_out) in CRATES {
        let arrows = without(arrows(&source_folder(name), &[]), |room| left_out.contains(&room));
        let drawn: Arrows = picture(name).into_iter().collect();
        for (room, others) in &arrows {
            let shown = drawn
                .get(room)
                .unwrap_or_else(|| panic!("{name}: ARCHITECTURE.md does not show {room}: {others:?}"));
            assert_eq!(
                shown, others,
                "{name}: what `{room}` takes names from: ARCHITECTURE.md, then the code"
            );
        }
        assert_eq!(drawn.len(), arrows.len(), "{name}: ARCHITECTURE.md shows a room that is not there");
    }
}

#[test]
fn no_arrow_goes_up() {
    for (name, _) in CRATES {
        let picture = picture(name);
        for (i, (room, others)) in picture.iter().enumerate() {
            let below: BTreeSet<_> = picture[i + 1..].iter().map(|(room, _)| room).collect();
            let up: Vec<_> = others.iter().filter(|other| !below.contains(other)).collect();
            assert!(up.is_empty(), "{name}: {room} takes names from {up:?}, which are not below it");
        }
    }
}

#[test]
fn no_folder_within_a_folder_is_part_of_a_circle() {
    let mut looked_at = 0;
    for name in CRATES.map(|(name, _)| name) {
        let src = source_folder(name);
        for folder in folders(&src) {
            let within = without(arrows(&src, &module_of(&folder, &src)), |room| !folder.join(room).is_dir());
            looked_at += within.len();
            let circles = circles(within);
            assert!(circles.is_empty(), "{name}: folders of {} form a circle: {circles:?}", folder.display());
        }
    }
    assert!(looked_at > 10, "{looked_at}");
}

#[test]
fn a_type_name_has_one_meaning_in_a_crate() {
    for name in CRATES.map(|(name, _)| name) {
        let folder = source_folder(name);
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in sources(&folder) {
            let place = path.strip_prefix(&folder).unwrap().display().to_string();
            for found in code_of(&path).lines().filter_map(type_in) {
                places.entry(found.to_owned()).or_default().push(place.clone());
            }
        }
        assert!(places.len() > 5, "{name}: no types were found");
        places.retain(|found, places| places.len() > 1 && !SHARED.contains(&(name, &**found)));
        assert!(places.is_empty(), "{name}: names of several types: {places:?}");
    }
}

#[test]
fn types_of_any_visibility_are_found() {
    let lines = [
        "pub struct Row {",
        "pub(in crate::cuda) enum Form<'a> {",
        "type Words = [u8; 2];",
        "trait Table: Send {",
    ];
    assert_eq!(lines.map(type_in), ["Row", "Form", "Words", "Table"].map(Some));
    assert_eq!(["    type Output = ();", "fn row() {", "use table::Row;"].map(type_in), [None; 3]);
}

#[test]
fn a_circle_is_found() {
    let arrows = [("top", "a"), ("a", "b"), ("b", "a"), ("c", "d"), ("d", "")];
    let others = |other: &str| Some(other.to_owned()).filter(|other| !other.is_empty()).into_iter().collect();
    let arrows = arrows.map(|(room, other)| (room.to_owned(), others(other)));
    assert_eq!(circles(arrows.into()).into_keys().collect::<Vec<_>>(), ["a", "b", "top"]);
}

#[test]
fn names_behind_crate_are_found() {
    assert_eq!(named("output::{self, Row}"), ["output"]);
    assert_eq!(named("{output::{self, Row}, model, Error}"), ["output", "model", "Error"]);
    assert_eq!(named("Error;"), ["Error"]);
}

#[test]
fn a_name_in_the_root_is_of_the_room_that_defines_it() {
    let names =
        re_exports("mod pack;\nmod row;\n\npub use pack::{Packer, Packing};\npub(crate) use row::Row;\n");
    let expected = [("Packer", "pack"), ("Packing", "pack"), ("Row", "row")];
    assert_eq!(names, expected.map(|(name, room)| (name.to_owned(), room.to_owned())).into());
}
