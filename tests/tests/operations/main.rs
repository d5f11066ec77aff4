//! `docs/operations.md` is true: each of its commands is run, as it stands there, on a front server in the trouble that its
//! section is about, shows what the document says that it shows, and mends what it says that it mends.

mod capacity;
mod connecting;
mod daemon;
mod front_server;
mod looking;
mod runbook;

use runbook::Section;

/// A test for each section of the runbook that has commands, by its heading.
macro_rules! sections {
    ($($test:ident: $heading:literal => $scenario:path,)+) => {
        const HEADINGS: &[&str] = &[$($heading),+];

        $(
            #[test]
            fn $test() {
                let section = Section::of($heading);
                $scenario(&section);
                section.has_been_tried();
            }
        )+
    };
}

sections! {
    at_a_glance: "At a glance" => looking::at_a_glance,
    no_answer: "Clients get no answer" => connecting::no_answer,
    refused_at_once: "Clients are refused at once" => connecting::refused_at_once,
    some_are_refused: "Some connections are refused" => connecting::some_are_refused,
    idle_backend: "A backend gets no connections" => connecting::idle_backend,
    broken_connections: "Connections break in the middle" => connecting::broken_connections,
    slow: "It is slow" => looking::slow,
    vanishing_packets: "Packets vanish" => looking::vanishing_packets,
    client_behind_a_connection: "Who is this client?" => looking::client_behind_a_connection,
    full_table: "The flow table is nearly full" => capacity::full_table,
    ports_run_out: "Source ports run out" => capacity::ports_run_out,
    flood: "A flood of SYNs" => capacity::flood,
    failed_deployment: "A deployment fails" => connecting::failed_deployment,
    refused_start: "The daemon does not start" => daemon::refused_start,
    no_daemon: "No daemon is running" => daemon::no_daemon,
    after_an_upgrade: "After an upgrade" => daemon::after_an_upgrade,
    emergency: "Take it off" => daemon::emergency,
}

#[test]
fn every_section_with_commands_is_tried() {
    assert_eq!(runbook::headings(), HEADINGS);
}
