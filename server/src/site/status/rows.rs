//! What each slot does, or did last.

use super::figures::{Figures, Row};
use super::page::escape;
use std::fmt::Write;

pub(super) fn write(figures: &Figures, hosts: &[String], table: bool, out: &mut String) {
    if table {
        out.push_str(
            "<table>\n<tr><th>Srv</th><th>PID</th><th>Acc</th><th>M</th><th>SS</th><th>Req</th>\
             <th class=\"t\">Client</th><th class=\"t\">Protocol</th><th class=\"t\">VHost</th>\
             <th class=\"t\">Request</th></tr>\n",
        );
    }
    for row in &figures.slots {
        let host = hosts.get(row.seen.host as usize);
        one(row, host.map_or("", String::as_str), table, out);
    }
    if table {
        out.push_str("</table>\n");
    }
    out.push_str(
        "<p>Srv: child-slot; Acc: requests that had the slot; M: mode; SS: seconds since the last one began; Req: \
         milliseconds the last finished one took. Answers from memory take no slot and are only counted.</p>\n",
    );
}

fn one(row: &Row, host: &str, table: bool, out: &mut String) {
    let Row {
        child, slot, pid, ..
    } = row;
    let (seen, seconds) = (&row.seen, row.since / 1_000);
    let took = seen.took / 1_000_000;
    let letter = row.letter;
    if table {
        let _ = write!(
            out,
            "<tr><td>{child}-{slot}</td><td>{pid}</td><td>{}</td><td><b>{letter}</b></td><td>{seconds}</td>\
             <td>{took}</td><td class=\"t\">{}</td><td class=\"t\">http/1.{}</td><td class=\"t\">",
            seen.count, seen.peer, seen.minor
        );
        escape(host.as_bytes(), out);
        out.push_str("</td><td class=\"t\">");
        escape(&seen.line, out);
        out.push_str("</td></tr>\n");
    } else {
        let _ = write!(
            out,
            "<p>Slot {child}-{slot} (pid {pid}): {} requests, <b>{letter}</b>, {seconds} s, {took} ms, <i>{} http/1.{} ",
            seen.count, seen.peer, seen.minor
        );
        escape(host.as_bytes(), out);
        out.push_str("</i> ");
        escape(&seen.line, out);
        out.push_str("</p>\n");
    }
}
