//! `report DIR`: one page of all results in a folder, with everything in it.
//!
//! `results` reads the files that `--json` wrote and knows under which names a figure may stand in them; `bars` and
//! `curves` draw; `html` puts it together. Nothing on the page comes from elsewhere, and nothing on it runs.

mod bars;
mod curves;
mod html;
mod results;

use std::fs;
use std::io;
use std::path::Path;

use results::Entry;

/// The page, beside the results.
const FILE: &str = "report.html";

/// What all results of one workload look like beside each other.
struct Group {
    workload: String,
    entries: Vec<Entry>,
}

/// The `report` command. Says where the page is.
pub(crate) fn run(folder: &Path) -> io::Result<()> {
    let groups = grouped(results::read(folder)?);
    if groups.is_empty() {
        let folder = folder.display();
        return Err(io::Error::other(format!(
            "{folder}: no results; a command writes them there with --json {folder}/NAME.json"
        )));
    }
    let page = html::page(&groups)?;
    let path = folder.join(FILE);
    fs::write(&path, page)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    println!("{}", path.display());
    Ok(())
}

/// By workload, in the order of their names; two of one server are told apart by their files.
fn grouped(entries: Vec<Entry>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|g| g.workload == entry.workload) {
            Some(group) => group.entries.push(entry),
            None => groups.push(Group {
                workload: entry.workload.clone(),
                entries: vec![entry],
            }),
        }
    }
    groups.sort_by(|a, b| a.workload.cmp(&b.workload));
    for group in &mut groups {
        group.entries.sort_by_key(|entry| entry.order);
        let names: Vec<String> = group.entries.iter().map(|e| e.server.clone()).collect();
        for entry in &mut group.entries {
            if names.iter().filter(|name| **name == entry.server).count() > 1 {
                entry.server = format!("{} ({})", entry.server, entry.file);
            }
        }
    }
    groups
}
