//! Draws a report, at 80 columns and more.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::{Block, Cell, Clear, Paragraph, Row as TableRow, Table, TableState},
};

use super::{
    keys,
    report::{ProgramCost, Report, Tone},
    screen::{Column, Line, Mode, Screen},
    units,
};
use crate::model::status::TableFill;

/// From this width on there is room for more columns.
const WIDE: u16 = 92;

/// What has gone wrong lately.
#[derive(Clone, Debug, Default)]
pub struct Notice(pub Option<String>);

/// Colours, or what stands in for them.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub has_colour: bool,
}

impl Theme {
    fn of(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn bar(self, colour: Color) -> Style {
        if self.has_colour {
            Style::new().fg(Color::Black).bg(colour)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Good => self.of(Color::Green),
            Tone::Passing => self.of(Color::Yellow),
            Tone::Bad => self.of(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// Lines above the table and below it.
pub fn frame_lines(report: &Report, notice: &Notice) -> usize {
    head(report, notice, Theme { has_colour: false }, 80).len() + 2
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, screen: &mut Screen, report: &Report, notice: &Notice, theme: Theme) {
    let area = frame.area();
    let head = head(report, notice, theme, area.width);
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
        Constraint::Min(1),
        Constraint::Length(u16::from(!screen.is_batch)),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    draw_table(frame, middle, screen, report, theme);
    frame.render_widget(Paragraph::new(foot(screen, theme)), bottom);
    match screen.mode {
        Mode::Help => draw_help(frame, area, theme),
        Mode::Sort(position) => draw_menu(frame, middle, position, theme),
        Mode::Table | Mode::Filter => {}
    }
}

fn head<'a>(report: &'a Report, notice: &'a Notice, theme: Theme, width: u16) -> Vec<Text<'a>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let label = |text: &'a str| Span::styled(text, theme.of(Color::Cyan));
    let per_second = |rate: Option<f64>| Span::styled(format!("{}/s", units::rate(rate)), bold);
    let title = format!(
        "gateway {}, up {}: {}",
        report.version,
        units::uptime(report.uptime.as_secs()),
        report.interfaces.join(", ")
    );
    let half = usize::from(width / 2);
    let total = &report.total;
    let bits = |rate: Option<f64>| Span::styled(format!("{}b/s", units::rate(rate)), bold);
    let mut flows = gauge("Flows ", report.flows, half, theme);
    flows.extend([label("  new "), per_second(total.new), label("  to backends "), bits(total.to_backends)]);
    let mut half_open = gauge("Half  ", report.half_open, half, theme);
    half_open.extend([label("  failed "), per_second(total.failed), label("  to clients "), bits(total.to_clients)]);
    let packets = report
        .packets
        .iter()
        .flat_map(|(action, rate)| [Span::raw(format!("{} ", action.name())), per_second(*rate), Span::raw("  ")]);
    let mut lines = vec![
        Text::styled(title, bold),
        Text::from(flows),
        Text::from(half_open),
        Text::from_iter([label("Packets ")].into_iter().chain(packets)),
        Text::from_iter([label("CPU     ")].into_iter().chain(cpu(&report.programs, bold))),
        Text::from_iter([label("Refused ")].into_iter().chain(troubles(report, theme, usize::from(width)))),
    ];
    if let Some(notice) = &notice.0 {
        lines.push(Text::styled(notice.as_str(), theme.of(Color::Red).add_modifier(Modifier::BOLD)));
    }
    match report.warnings.as_slice() {
        [] => {}
        [one] => lines.push(Text::styled(format!("Warning: {one}"), theme.of(Color::Yellow))),
        [first, ..] => {
            let all = report.warnings.len();
            lines.push(Text::styled(format!("{all} warnings: {first}"), theme.of(Color::Yellow)));
        }
    }
    lines
}

/// `Flows [||||      12/1.0M]`, `width` characters in all.
fn gauge<'a>(label: &'a str, fill: TableFill, width: usize, theme: Theme) -> Vec<Span<'a>> {
    let share = fill.open as f64 / fill.capacity.max(1) as f64;
    let figures = format!("{}/{}", units::count(fill.open as f64), units::count(fill.capacity as f64));
    let inside = width.saturating_sub(label.len() + 2);
    let full = ((share * inside as f64).round() as usize).min(inside.saturating_sub(figures.len()));
    let space = inside.saturating_sub(full + figures.len());
    let colour = match share {
        share if share >= 0.8 => Color::Red,
        share if share >= 0.5 => Color::Yellow,
        _ => Color::Green,
    };
    vec![
        Span::styled(label, theme.of(Color::Cyan)),
        Span::raw("["),
        Span::styled("|".repeat(full), theme.of(colour)),
        Span::raw(" ".repeat(space)),
        Span::raw(figures),
        Span::raw("]"),
    ]
}

fn cpu(programs: &[ProgramCost], bold: Style) -> Vec<Span<'_>> {
    let counted: Vec<_> = programs.iter().filter_map(|it| Some((it.hook, it.load?, it.per_packet_ns))).collect();
    if counted.is_empty() {
        return vec![Span::raw("not counted by the kernel; C has it do so")];
    }
    let spans = counted.into_iter().flat_map(|(hook, load, per_packet)| {
        let load = format!("{:.1}%", load * 100.0);
        let per_packet = per_packet.map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}ns"));
        [
            Span::raw(format!("{hook} ")),
            Span::styled(load, bold),
            Span::raw(" of a core, "),
            Span::styled(per_packet, bold),
            Span::raw("/packet  "),
        ]
    });
    spans.collect()
}

/// As many as there is room for.
fn troubles<'a>(report: &'a Report, theme: Theme, width: usize) -> Vec<Span<'a>> {
    if report.troubles.is_empty() {
        return vec![Span::raw("nothing")];
    }
    let mut room = width.saturating_sub(8);
    let mut spans = Vec::new();
    for (reason, rate) in &report.troubles {
        let text = format!("{reason} {}/s  ", units::rate(Some(*rate)));
        let Some(left) = room.checked_sub(text.trim_end().len()) else { break };
        room = left.saturating_sub(2);
        spans.push(Span::styled(text, theme.of(Color::Yellow)));
    }
    spans
}

/// A column of the table: what it is sorted by, its title, its width, and what it says of a line.
type Figure = (Option<Column>, &'static str, u16, fn(&Line<'_>) -> String);

const FIGURES: [Figure; 8] = [
    (Some(Column::New), "NEW/s", 6, |line| units::rate(line.row.activity.new)),
    (Some(Column::Open), "OPEN", 6, |line| units::count(line.row.activity.open as f64)),
    (None, "HALF", 5, |line| units::count(line.row.activity.half_open as f64)),
    (Some(Column::Handshake), "SYN-ACK", 7, |line| units::time(line.row.activity.handshake_mean())),
    (None, "P99", 6, |line| units::time(line.row.activity.handshake_p99())),
    (Some(Column::Failed), "FAIL/s", 6, |line| units::rate(line.row.activity.failed)),
    (Some(Column::Traffic), "IN b/s", 6, |line| units::rate(line.row.activity.to_backends)),
    (Some(Column::Traffic), "OUT b/s", 7, |line| units::rate(line.row.activity.to_clients)),
];

fn draw_table(frame: &mut Frame<'_>, area: Rect, screen: &mut Screen, report: &Report, theme: Theme) {
    let lines = screen.lines(report);
    let figures: Vec<&Figure> = FIGURES.iter().filter(|(_, title, ..)| area.width >= WIDE || *title != "P99").collect();
    let right = |text: String| Cell::from(Text::from(text).alignment(Alignment::Right));
    let is_sorted = |column: Option<Column>| column == Some(screen.sort);
    let mark = |column: Option<Column>, title: &str| {
        let style = if is_sorted(column) { theme.bar(Color::Cyan) } else { theme.bar(Color::Green) };
        (title.to_owned(), style)
    };
    let heading = |column, title| {
        let (title, style) = mark(column, title);
        Cell::from(title).style(style)
    };
    let figure_heading = |(column, title, ..): &&Figure| {
        let (title, style) = mark(*column, title);
        right(title).style(style)
    };
    let header = [heading(Some(Column::Name), "SERVICE / BACKEND"), heading(Some(Column::State), "STATE")];
    let header = TableRow::new(header.into_iter().chain(figures.iter().map(figure_heading)));
    let rows = lines.iter().map(|line| {
        let name = match (line.service, line.is_unfolded, line.row.backends.is_empty()) {
            (Some(_), ..) => format!("   {}", line.row.name),
            (None, _, true) => format!("  {}", line.row.name),
            (None, true, false) => format!("- {}", line.row.name),
            (None, false, false) => format!("+ {}", line.row.name),
        };
        let name_style = if line.service.is_none() { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        let words =
            [Cell::from(name).style(name_style), Cell::from(line.row.state.as_str()).style(theme.tone(line.row.tone))];
        TableRow::new(words.into_iter().chain(figures.iter().map(|(.., of)| right(of(line)))))
    });
    let widths = [Constraint::Min(20), Constraint::Length(8)];
    let widths = widths.into_iter().chain(figures.iter().map(|(_, _, width, _)| Constraint::Length(*width)));
    let table = Table::new(rows, widths)
        .header(header.style(theme.bar(Color::Green)))
        .column_spacing(1)
        .row_highlight_style(theme.bar(Color::Cyan));
    let (count, page) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    screen.page = page;
    screen.settle(count);
    let selected = (count > 0 && !screen.is_batch).then_some(screen.cursor);
    let mut state = TableState::new().with_offset(screen.offset).with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
    screen.offset = state.offset();
}

fn foot(screen: &Screen, theme: Theme) -> Text<'static> {
    let keys: &[(&str, &str)] = match screen.mode {
        Mode::Filter => &[("Enter", "Done "), ("Esc", "Clear "), (" Filter: ", "")],
        Mode::Sort(_) => &[("Enter", "Sort "), ("Esc", "Cancel ")],
        Mode::Table | Mode::Help => &[
            ("F1", "Help "),
            ("F4", "Filter "),
            ("F5", "Unfold "),
            ("F6", "Sort "),
            ("Space", "Backends "),
            ("C", "CPU "),
            ("Z", "Pause "),
            ("F10", "Quit "),
        ],
    };
    let bar = theme.bar(Color::Cyan);
    let mut line: Vec<Span<'static>> =
        keys.iter().flat_map(|(key, what)| [Span::raw(*key), Span::styled(*what, bar)]).collect();
    match screen.mode {
        Mode::Filter => line.push(Span::raw(format!("{}_", screen.filter))),
        _ if !screen.filter.is_empty() => line.push(Span::raw(format!("  only: {}", screen.filter))),
        _ => {}
    }
    if screen.is_paused {
        line.push(Span::styled("  paused", theme.of(Color::Yellow)));
    }
    Text::from(line)
}

fn draw_help(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let lines: Vec<Text<'_>> = keys::HELP
        .iter()
        .map(|(key, what)| {
            Text::from(vec![Span::styled(format!("{key:>18}  "), theme.of(Color::Cyan)), Span::raw(*what)])
        })
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let popup = area.centered(Constraint::Max(79), Constraint::Max(height));
    frame.render_widget(Clear, popup);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Keys ")), popup);
}

fn draw_menu(frame: &mut Frame<'_>, area: Rect, position: usize, theme: Theme) {
    let lines: Vec<Text<'_>> = Column::ALL
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let style = if index == position { theme.bar(Color::Cyan) } else { Style::new() };
            Text::styled(format!("{:<17}", column.title()), style)
        })
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let popup = Rect { width: area.width.min(19), height, ..area };
    frame.render_widget(Clear, popup);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Sort by ")), popup);
}
