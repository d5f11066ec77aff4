//! What keys do, as in htop where it has them.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    report::Report,
    screen::{Column, Mode, Screen},
};

/// What there is to do beside drawing anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Stay,
    /// Look at the gateway at once.
    Refresh,
    /// Have the kernel count the processor time of packet programs, or no longer.
    ToggleCpu,
    Quit,
}

/// Every key and what it does, for the help.
pub const HELP: [(&str, &str); 13] = [
    ("Up Down k j", "move the cursor"),
    ("PgUp PgDn Home End", "move it by pages, to the first line, to the last"),
    ("Space Enter", "show or hide the backends of a service"),
    ("t F5", "show or hide all backends"),
    ("F6 > <", "choose the column to sort by"),
    ("I", "sort the other way round"),
    ("N O T E P", "sort by new connections, open flows, SYN-ACK time, failures, traffic"),
    ("F4 / \\", "show only names that contain a text; Esc shows all again"),
    ("C", "have the kernel count what a packet costs, or no longer (as root)"),
    ("Z", "stop and go on"),
    ("r F2", "look at once"),
    ("h ? F1", "this help"),
    ("q F10 Ctrl-C", "end"),
];

/// Takes a key.
pub fn press(screen: &mut Screen, key: KeyEvent, report: &Report) -> Outcome {
    if key.kind == KeyEventKind::Release {
        return Outcome::Stay;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.code == KeyCode::F(10) || is_control && key.code == KeyCode::Char('c') {
        return Outcome::Quit;
    }
    match screen.mode {
        Mode::Table => in_table(screen, key.code, report),
        Mode::Filter => in_filter(screen, key.code),
        Mode::Sort(position) => in_menu(screen, key.code, position),
        Mode::Help => {
            screen.mode = Mode::Table;
            Outcome::Stay
        }
    }
}

fn in_table(screen: &mut Screen, key: KeyCode, report: &Report) -> Outcome {
    let lines = screen.lines(report);
    let (last, page) = (lines.len().saturating_sub(1), screen.page.max(1));
    match key {
        KeyCode::Char('q') => return Outcome::Quit,
        KeyCode::Char('r') | KeyCode::F(2) => return Outcome::Refresh,
        KeyCode::Char('C') => return Outcome::ToggleCpu,
        KeyCode::Up | KeyCode::Char('k') => screen.cursor = screen.cursor.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => screen.cursor = (screen.cursor + 1).min(last),
        KeyCode::PageUp => screen.cursor = screen.cursor.saturating_sub(page),
        KeyCode::PageDown => screen.cursor = (screen.cursor + page).min(last),
        KeyCode::Home => screen.cursor = 0,
        KeyCode::End => screen.cursor = last,
        KeyCode::Char(' ') | KeyCode::Enter => {
            if let Some(line) = lines.get(screen.cursor) {
                let service = line.service.unwrap_or(&line.row.name).to_owned();
                if !screen.unfolded.remove(&service) {
                    screen.unfolded.insert(service);
                }
            }
        }
        KeyCode::Char('t') | KeyCode::F(5) => {
            let names = || report.services.iter().map(|service| service.name.clone());
            let are_all_unfolded = names().all(|name| screen.unfolded.contains(&name));
            screen.unfolded = if are_all_unfolded { Default::default() } else { names().collect() };
        }
        KeyCode::F(6) | KeyCode::Char('>' | '<') => {
            screen.mode = Mode::Sort(Column::ALL.iter().position(|it| *it == screen.sort).unwrap_or(0));
        }
        KeyCode::Char('I') => screen.is_inverted = !screen.is_inverted,
        KeyCode::Char('N') => sort_by(screen, Column::New),
        KeyCode::Char('O') => sort_by(screen, Column::Open),
        KeyCode::Char('T') => sort_by(screen, Column::Handshake),
        KeyCode::Char('E') => sort_by(screen, Column::Failed),
        KeyCode::Char('P') => sort_by(screen, Column::Traffic),
        KeyCode::F(4) | KeyCode::Char('/' | '\\') => screen.mode = Mode::Filter,
        KeyCode::Esc => screen.filter.clear(),
        KeyCode::Char('Z') => screen.is_paused = !screen.is_paused,
        KeyCode::Char('h' | '?') | KeyCode::F(1) => screen.mode = Mode::Help,
        _ => {}
    }
    Outcome::Stay
}

fn in_filter(screen: &mut Screen, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Char(character) => screen.filter.push(character),
        KeyCode::Backspace => drop(screen.filter.pop()),
        KeyCode::Enter => screen.mode = Mode::Table,
        KeyCode::Esc => {
            screen.filter.clear();
            screen.mode = Mode::Table;
        }
        _ => {}
    }
    Outcome::Stay
}

fn in_menu(screen: &mut Screen, key: KeyCode, position: usize) -> Outcome {
    let last = Column::ALL.len() - 1;
    match key {
        KeyCode::Up | KeyCode::Char('k') => screen.mode = Mode::Sort(position.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => screen.mode = Mode::Sort((position + 1).min(last)),
        KeyCode::Home => screen.mode = Mode::Sort(0),
        KeyCode::End => screen.mode = Mode::Sort(last),
        KeyCode::Enter => {
            sort_by(screen, Column::ALL[position]);
            screen.mode = Mode::Table;
        }
        KeyCode::Esc | KeyCode::F(6) | KeyCode::Char('q') => screen.mode = Mode::Table,
        _ => {}
    }
    Outcome::Stay
}

fn sort_by(screen: &mut Screen, column: Column) {
    (screen.sort, screen.is_inverted) = (column, false);
}
