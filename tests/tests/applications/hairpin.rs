//! Containers that use a service by its public address, also the one that they are behind themselves.

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, service_name},
};

use crate::{
    add_service,
    database::{ask, benchmark, redis},
};

#[test]
fn containers_reach_services_and_themselves_by_the_public_address() {
    for mode in Mode::ALL {
        let lab = Topology::new(BackendSide::Bridge, 2).build();
        let _redis = [redis(&lab, &lab.backends[0]), redis(&lab, &lab.backends[1])];
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
        for (family, (server, port)) in
            Family::ALL.into_iter().flat_map(|family| lab.backends.iter().zip(PORT..).map(move |it| (family, it)))
        {
            let to = lab.front.at(family, port);
            let name = format!("{}-{port}", service_name(family));
            add_service(&gateway, &name, to, &server.at(family, BACKEND_PORT).to_string());
            for container in &lab.backends {
                let told = format!("{mode:?}: {} to {name}", container.name());
                assert_eq!(ask(container, to, &["set", "told", &told]), "OK\n", "{told}");
                assert_eq!(ask(server, server.at(family, BACKEND_PORT), &["get", "told"]), format!("{told}\n"));
                if family == Family::V4 {
                    benchmark(container, to, &["-n", "2000", "-c", "20", "-t", "set,get"]);
                }
            }
        }
    }
}
