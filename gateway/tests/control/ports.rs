//! Public ports that services ask for, over the control socket.

use std::collections::BTreeSet;

use gateway::model::change::NewService;

use crate::support::{Daemon, site};

fn auto_port(name: String) -> NewService {
    NewService { name, auto_port: true, ..NewService::default() }
}

#[test]
fn services_keep_the_ports_they_were_given_until_none_is_left() {
    const SERVICES: usize = 500;
    let ports = "20000-20499".parse().unwrap();
    let daemon = Daemon::start_at(gateway::lifecycle::Site { public_ports: Some(ports), ..site() });
    let client = daemon.client();
    let mut urls = BTreeSet::new();
    for number in 0..SERVICES {
        let added = daemon.wait(client.add_service(&auto_port(format!("s{number}")))).unwrap();
        assert!(urls.insert(added.url), "{number}: a port is given away twice");
    }
    let refused = daemon.wait(client.add_service(&auto_port("one-more".into()))).unwrap_err().to_string();
    assert!(refused.contains("all of 20000-20499 are taken"), "{refused}");

    let url = daemon.wait(client.service("s77")).unwrap().url;
    daemon.wait(client.remove_service("s78")).unwrap();
    daemon.wait(client.add_service(&auto_port("late".into()))).unwrap();
    assert_eq!(daemon.wait(client.service("s77")).unwrap().url, url);
}
