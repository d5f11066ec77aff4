//! The daemon's log: a line on stderr for each change of state, for people, for programs or for the journal.
//!
//! `RUST_LOG` says what is logged. Nothing is logged for a packet or a connection.

use std::{
    env,
    io::{self, Write},
    os::fd::AsFd,
    time::SystemTime,
};

use env_logger::{Builder, Env};
use log::{
    Level, Record,
    kv::{self, Key, VisitSource},
};
use nix::sys::stat::fstat;
use serde_json::{Map, Value};

/// What the lines of the log are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Sentences
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// From here on the process logs; to be called once.
///
/// Text that goes to systemd's journal has no time of its own, and a priority in the way of sd-daemon(3).
pub fn start(format: LogFormat) {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    match format {
        LogFormat::Json => builder.format(|line, record| writeln!(line, "{}", json(record, SystemTime::now()))),
        LogFormat::Text if is_journal(env::var("JOURNAL_STREAM").ok().as_deref(), io::stderr()) => {
            builder.format(|line, record| line.write_all(journal(record).as_bytes()))
        }
        LogFormat::Text => &mut builder,
    };
    builder.init();
}

/// Whether `stream` is the one that `JOURNAL_STREAM` names by its device and inode (systemd.exec(5)).
fn is_journal(named: Option<&str>, stream: impl AsFd) -> bool {
    let named = named.and_then(|named| named.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && fstat(stream).ok().map(|stat| (stat.st_dev, stat.st_ino)) == named
}

/// A record's sentence and fields as one object. Fields do not take the place of what every line has.
fn json(record: &Record<'_>, time: SystemTime) -> Value {
    let mut fields = Fields(Map::new());
    // A field that has no form in JSON is left out, the line is not.
    let _ = record.key_values().visit(&mut fields);
    let mut line = fields.0;
    line.insert("time".to_owned(), humantime::format_rfc3339_millis(time).to_string().into());
    line.insert("level".to_owned(), record.level().as_str().to_ascii_lowercase().into());
    line.insert("target".to_owned(), record.target().into());
    line.insert("message".to_owned(), record.args().to_string().into());
    line.into()
}

struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.insert(key.as_str().to_owned(), value);
        }
        Ok(())
    }
}

/// A record with the priority of syslog(3) in front of every line, so that none of its lines gets another one.
fn journal(record: &Record<'_>) -> String {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    record.args().to_string().lines().map(|line| format!("<{priority}>{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs::File, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn json_has_the_fields_beside_the_sentence() {
        let fields = HashMap::from([("packets", kv::Value::from(7)), ("level", kv::Value::from("high"))]);
        let line = json(
            &Record::builder()
                .level(Level::Warn)
                .target("gateway::event")
                .args(format_args!("a \"quoted\"\nsentence"))
                .key_values(&fields)
                .build(),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            line.to_string(),
            r#"{"packets":7,"level":"warn","time":"1970-01-01T00:00:00.000Z","target":"gateway::event","message":"a \"quoted\"\nsentence"}"#
                .parse::<Value>()
                .unwrap()
                .to_string()
        );
    }

    #[test]
    fn every_line_of_a_record_has_its_priority_in_the_journal() {
        let record = |level| journal(&Record::builder().level(level).args(format_args!("one\ntwo")).build());
        assert_eq!(record(Level::Error), "<3>one\n<3>two\n");
        assert_eq!(record(Level::Info), "<6>one\n<6>two\n");
    }

    #[test]
    fn journal_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let of = |file: &File| file.metadata().map(|it| format!("{}:{}", it.dev(), it.ino())).unwrap();
        let own = of(&file);
        assert!(is_journal(Some(&own), &file));
        assert!(!is_journal(Some(&own), tempfile::tempfile().unwrap()), "stderr was sent elsewhere");
        for other in [None, Some(""), Some("0:0"), Some("a:b")] {
            assert!(!is_journal(other, &file), "{other:?}");
        }
    }
}
