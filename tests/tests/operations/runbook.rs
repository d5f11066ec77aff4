//! The runbook as sections of commands and of what they show.

use std::{cell::Cell, fs, path::Path, time::Duration};

use gateway_tests::{Output, Process, eventually};

use crate::front_server::FrontServer;

/// How long a command is repeated until it shows what it is to show: a probe's turn, a sweep, a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A section of the document, whose commands are to be run all.
pub struct Section {
    heading: String,
    commands: Vec<Command>,
    /// What stands for the configuration file.
    toml: String,
}

struct Command {
    line: String,
    /// The text that the document shows below it.
    shown: String,
    has_run: Cell<bool>,
}

/// The headings of the sections that have commands.
pub fn headings() -> Vec<String> {
    sections().into_iter().filter(|section| !section.commands.is_empty()).map(|section| section.heading).collect()
}

impl Section {
    #[track_caller]
    pub fn of(heading: &str) -> Self {
        let found = sections().into_iter().find(|section| section.heading == heading);
        found.unwrap_or_else(|| panic!("docs/operations.md has no section {heading:?}"))
    }

    /// What the section has the file say.
    pub fn toml(&self) -> &str {
        &self.toml
    }

    /// Runs a command until its output has all these words, which the document shows as well.
    #[track_caller]
    pub fn shows(&self, server: &FrontServer, line: &str, words: &[&str]) -> Output {
        self.documents(line, words);
        tell(line, eventually(PATIENCE, || lacks_nothing(server.sh(self.take(line)), words)))
    }

    /// Runs a command once: its exit code, and words of its output that the document shows as well.
    #[track_caller]
    pub fn ends(&self, server: &FrontServer, line: &str, code: i32, words: &[&str]) -> Output {
        self.documents(line, words);
        let output = lacks_nothing(tell(line, server.sh(self.take(line))), words)
            .unwrap_or_else(|lack| panic!("{line}: {lack}"));
        assert_eq!(output.code, Some(code), "{line}: {output:?}\n{}", server.log());
        output
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn does(&self, server: &FrontServer, line: &str) -> Output {
        self.ends(server, line, 0, &[])
    }

    /// The same with the document's example values replaced by the lab's.
    #[track_caller]
    pub fn does_with(&self, server: &FrontServer, line: &str, values: &[(&str, String)], words: &[&str]) -> Output {
        self.documents(line, words);
        let replaced = values.iter().fold(self.take(line).to_owned(), |line, (example, value)| {
            assert!(line.contains(example), "{line:?} has no {example}");
            line.replace(example, value)
        });
        lacks_nothing(tell(line, server.sh(&replaced).success()), words).unwrap_or_else(|lack| panic!("{line}: {lack}"))
    }

    /// Starts a command that ends by itself, when it has said to stderr that it has begun.
    #[track_caller]
    pub fn begin(&self, server: &FrontServer, line: &str, begun: &str) -> Process {
        let process = server.begin(self.take(line));
        eventually(PATIENCE, || if process.stderr().contains(begun) { Ok(()) } else { Err(process.stderr()) });
        process
    }

    /// Waits for the end of such a command, whose output has words that the document shows as well.
    #[track_caller]
    pub fn ended(&self, mut process: Process, line: &str, code: i32, words: &[&str]) {
        self.documents(line, words);
        let output = lacks_nothing(tell(line, process.wait(PATIENCE)), words);
        assert_eq!(output.unwrap_or_else(|lack| panic!("{line}: {lack}")).code, Some(code), "{line}");
    }

    #[track_caller]
    pub fn has_been_tried(&self) {
        let left: Vec<_> = self.commands.iter().filter(|it| !it.has_run.get()).map(|it| &it.line).collect();
        assert!(left.is_empty(), "not run of {:?}: {left:#?}", self.heading);
    }

    #[track_caller]
    fn documents(&self, line: &str, words: &[&str]) {
        let shown = &self.find(line).shown;
        let missing: Vec<_> = words.iter().filter(|word| !shown.contains(**word)).collect();
        assert!(missing.is_empty(), "{:?} does not show {missing:?} below {line:?}", self.heading);
    }

    #[track_caller]
    fn take<'a>(&self, line: &'a str) -> &'a str {
        self.find(line).has_run.set(true);
        line
    }

    #[track_caller]
    fn find(&self, line: &str) -> &Command {
        let found = self.commands.iter().find(|command| command.line == line);
        found.unwrap_or_else(|| panic!("{:?} has no command {line:?}", self.heading))
    }
}

/// Shows what the document may show.
fn tell(line: &str, output: Output) -> Output {
    println!("$ {line}\n{}{}", output.stdout, output.stderr);
    output
}

fn lacks_nothing(output: Output, words: &[&str]) -> Result<Output, String> {
    let missing = |word: &&&str| !output.stdout.contains(**word) && !output.stderr.contains(**word);
    match words.iter().find(missing) {
        None => Ok(output),
        Some(word) => Err(format!("no {word:?} in {output:?}")),
    }
}

fn sections() -> Vec<Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = text.lines();
    // Commands of the block before, which the next block of text is the output of.
    let mut shown_next = 0;
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push(Section { heading: heading.to_owned(), commands: Vec::new(), toml: String::new() });
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let section = sections.last_mut().expect("blocks are below headings");
            match language {
                "sh" => {
                    shown_next = block.len();
                    section.commands.extend(block.into_iter().map(Command::of));
                }
                "toml" => section.toml.push_str(&block.join("\n")),
                "" => {
                    let first = section.commands.len() - shown_next;
                    section.commands[first..].iter_mut().for_each(|command| command.shown.push_str(&block.join("\n")));
                }
                other => panic!("a block of {other} is neither tried nor shown"),
            }
        }
    }
    sections
}

impl Command {
    /// Without the remark behind it.
    fn of(line: &str) -> Self {
        let line = line.split_once("  #").map_or(line, |(command, _)| command).trim();
        Self { line: line.to_owned(), shown: String::new(), has_run: Cell::new(false) }
    }
}
