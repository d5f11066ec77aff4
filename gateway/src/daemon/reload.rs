//! Reading the file again.

use anyhow::Result;
use sd_notify::NotifyState;

use super::{Host, RunOptions, notify};
use crate::{
    config::Config,
    lifecycle::{Engine, Site},
    model::event::Happening,
};

/// Replaces the file's services by those of the file as it is; the configuration in force afterwards.
///
/// A file that is refused is logged and changes nothing.
pub async fn reload<H: Host>(options: &RunOptions, running: Config, host: &H, engine: &Engine<H::Tables>) -> Config {
    let Some(file) = &options.config else {
        log::warn!("there is no file to reload: the gateway runs from flags");
        return running;
    };
    log::info!("reloading {}", file.display());
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
    let config = match try_reload(options, host, engine).await {
        Ok(config) => {
            let services = engine.desired().entries().len();
            engine.events().publish([Happening::FileReloaded { file: file.display().to_string(), services }]);
            config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
            log_unchanged_sections(&running, &config);
            config
        }
        Err(error) => {
            let (file, error) = (file.display().to_string(), format!("{error:#}"));
            engine.events().publish([Happening::FileRefused { file, error }]);
            running
        }
    };
    notify(&[NotifyState::Ready]);
    config
}

async fn try_reload<H: Host>(options: &RunOptions, host: &H, engine: &Engine<H::Tables>) -> Result<Config> {
    let config = options.load()?;
    let site = host.site(&config).await?;
    engine.change(|desired| {
        // The datapath translates with the addresses and ports that it was attached with.
        let Site { snat, snat_ports, .. } = desired.site().clone();
        desired.reloaded(Site { snat, snat_ports, ..site }, config.services.clone())
    })?;
    Ok(config)
}

/// Says which parts of the file wait for the next start.
fn log_unchanged_sections(running: &Config, file: &Config) {
    let sections = [
        ("[control]", running.control != file.control),
        ("[metrics]", running.metrics != file.metrics),
        ("[dashboard]", running.dashboard != file.dashboard),
        ("[[interface]]", running.interfaces != file.interfaces),
        ("[snat]", running.snat != file.snat),
        ("[flows]", running.flows != file.flows),
        ("[backends]", running.backends != file.backends),
        ("[docker]", running.docker != file.docker),
    ];
    for (section, _) in sections.iter().filter(|(_, differs)| *differs) {
        log::warn!("the change of {section} takes effect when the gateway is started again");
    }
}
