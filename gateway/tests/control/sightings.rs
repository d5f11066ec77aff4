//! The stream of what the datapath shows, and that it shows nothing else.

use std::{net::SocketAddr, time::Duration};

use gateway::{
    control::views::SightingQuery,
    model::{
        flow::Traffic,
        sighting::{FlowSeen, Sighting},
    },
};
use tokio::time;

use crate::support::Daemon;

const FLOWS: SightingQuery = SightingQuery { packets: false, client: None, port: None, snap: 0, flows: true };

fn flow(client: &str) -> FlowSeen {
    let [client, public]: [SocketAddr; 2] = [client, "203.0.113.10:80"].map(|address| address.parse().unwrap());
    let traffic = Traffic::default();
    FlowSeen {
        at: std::time::UNIX_EPOCH,
        client,
        public,
        service: Some("web".into()),
        backend: None,
        snat: None,
        state: None,
        original: traffic,
        reply: traffic,
    }
}

/// Waits until `tables` are told whether to show anything.
async fn until_watched(daemon: &Daemon, watched: bool) {
    let told = async {
        while daemon.tables.wanted().is_some() != watched {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(Duration::from_secs(20), told).await.unwrap();
}

#[test]
fn datapath_shows_what_is_wanted_for_as_long_as_somebody_reads() {
    let daemon = Daemon::start();
    let client = daemon.client();
    assert!(daemon.tables.wanted().is_none());
    daemon.wait(async {
        let mut stream = client.sightings(&FLOWS).await.unwrap();
        assert!(daemon.tables.wanted().is_some_and(|wanted| wanted.flows && wanted.packets.is_none()));
        let seen = Sighting::FlowOpened(flow("198.51.100.7:1"));
        daemon.tables.show(seen.clone());
        assert_eq!(stream.next().await.unwrap().unwrap().0, seen);

        let client_of_packets = Some("198.51.100.7".parse().unwrap());
        let packets = SightingQuery { packets: true, client: client_of_packets, snap: 64, ..SightingQuery::default() };
        let other = client.sightings(&packets).await.unwrap();
        let both = daemon.tables.wanted().unwrap();
        assert!(
            both.flows && both.packets.is_some_and(|filter| filter.client == client_of_packets && filter.snap == 64)
        );
        drop(other);
        // Who has gone is missed when there is something to hand out.
        for number in 0.. {
            if daemon.tables.wanted().is_some_and(|wanted| wanted.packets.is_none()) {
                break;
            }
            assert!(number < 1000);
            time::sleep(Duration::from_millis(10)).await;
        }
        drop(stream);
        until_watched(&daemon, false).await;
    });
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let packets = SightingQuery { packets: true, ..SightingQuery::default() };
    for query in [
        SightingQuery::default(),
        SightingQuery { snap: 64, ..FLOWS },
        SightingQuery { port: Some(80), ..packets },
        SightingQuery { snap: 100_000, ..packets },
    ] {
        assert!(daemon.wait(client.sightings(&query)).is_err(), "{query:?}");
        assert!(daemon.tables.wanted().is_none());
    }
}
