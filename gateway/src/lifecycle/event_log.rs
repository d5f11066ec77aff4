//! The log line of an event: its sentence, with its fields beside for logs that have fields.

use log::kv::{self, Key, Value, VisitSource};

use crate::model::event::Happening;

/// Logs a happening. Its fields are those of its JSON.
pub fn log(what: &Happening) {
    let level = what.level();
    if !log::log_enabled!(target: TARGET, level) {
        return;
    }
    let fields = Fields(serde_json::to_value(what).unwrap_or_default());
    log::logger().log(
        &log::Record::builder().level(level).target(TARGET).args(format_args!("{what}")).key_values(&fields).build(),
    );
}

/// What `RUST_LOG` knows events by.
const TARGET: &str = "gateway::event";

struct Fields(serde_json::Value);

impl kv::Source for Fields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        let mut fields = self.0.as_object().into_iter().flatten();
        fields.try_for_each(|(name, value)| visitor.visit_pair(Key::from_str(name), Value::from_serde(value)))
    }
}
