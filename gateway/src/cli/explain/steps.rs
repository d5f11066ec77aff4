//! An explanation in words: one step after the other, as far as the SYN would go.

use crate::{
    cli::output::cell,
    cli::output::table,
    model::{
        BackendState,
        explanation::{
            Candidate, Choice, CookieRule, Explanation, Ingress, LimitUse, NextHop, Rule, Source, Target, Unused,
            Verdict,
        },
        flow::Flow,
        status::{Action, Hook, TableFill},
    },
};

/// The verdict, and below it the steps that lead there.
pub fn text(explanation: &Explanation) -> String {
    let Explanation { from, to, verdict, acknowledged, .. } = explanation;
    let mut lines = vec![format!("SYN from {from} to {to}: {}", outcome(verdict))];
    if let Some(acknowledged) = acknowledged {
        lines.push(format!("when the client acknowledges: {}", outcome(acknowledged)));
    }
    let steps = steps(explanation).into_iter().map(|(name, what)| vec![cell(format!("  {name}")), cell(what)]);
    let rows = table(&["  STEP", "WHAT THERE IS"], steps);
    lines.push(String::new());
    lines.push(rows);
    lines.join("\n")
}

/// `opened, forwarded by XDP. A SYN that opened a flow.`
fn outcome(Verdict { reason, action, meaning, hook }: &Verdict) -> String {
    let action = match action {
        Action::Pass => "left to the kernel",
        Action::Drop => "dropped",
        Action::Forward => "forwarded",
        Action::Answer => "answered",
    };
    format!("{action} by {} ({reason})\n  {meaning}", program(*hook))
}

fn program(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp => "XDP",
        Hook::Tc => "TC",
    }
}

fn steps(explanation: &Explanation) -> Vec<(&'static str, String)> {
    let mut steps = vec![("comes in", ingress(explanation.ingress.as_ref()))];
    match &explanation.flow {
        Some(flow) => steps.push(("flow", known(flow))),
        None => steps.push(("flow", "none yet".to_owned())),
    }
    let Some(service) = &explanation.service else {
        steps.push(("service", format!("none at {}", explanation.to)));
        return steps;
    };
    steps.push(("service", of_service(service)));
    steps.push(("flow table", fill(explanation.flows)));
    steps.push(("cookies", cookies(explanation)));
    steps.extend(explanation.limits.iter().map(|limit| ("limit", of_limit(limit))));
    steps.extend(explanation.candidates.iter().map(|candidate| ("candidate", of_candidate(candidate, service))));
    let Some(choice) = &explanation.choice else {
        steps.push(("choice", "none".to_owned()));
        return steps;
    };
    steps.push(("choice", of_choice(choice)));
    steps.extend(explanation.source.as_ref().map(|source| ("source", of_source(source))));
    steps.extend(explanation.next_hop.as_ref().map(|hop| ("next hop", of_next_hop(hop))));
    steps
}

fn ingress(ingress: Option<&Ingress>) -> String {
    match ingress {
        None => "nowhere: no route leads to the client, so no answer would reach it".to_owned(),
        Some(Ingress { interface, mode: Some(mode) }) => format!("{interface}, mode {}", mode.name()),
        Some(Ingress { interface, mode: None }) => {
            format!("{interface}, where the gateway is not attached and sees nothing; what follows is as if it were")
        }
    }
}

fn known(flow: &Flow) -> String {
    format!("{} to {} from {}, idle for {} s", flow.state, flow.backend, flow.snat, flow.idle_seconds)
}

fn of_service(Target { name, algorithm, places, .. }: &Target) -> String {
    let algorithm = clap::ValueEnum::to_possible_value(algorithm).map(|value| value.get_name().to_owned());
    format!("{name}, algorithm {}, {places} places in its table", algorithm.unwrap_or_default())
}

fn fill(TableFill { open, capacity }: TableFill) -> String {
    let room = if open >= capacity { "full" } else { "room" };
    format!("{open} of {capacity} flows: {room}")
}

fn cookies(explanation: &Explanation) -> String {
    let when = match explanation.cookies.when {
        CookieRule::Auto => "in floods",
        CookieRule::Off => "off",
        CookieRule::Always => "always",
    };
    let sent = if explanation.cookies.sent { "this SYN is answered by one" } else { "none for this SYN" };
    format!("{when}: {sent}")
}

fn of_limit(LimitUse { limit, used, allowed }: &LimitUse) -> String {
    let room = if used >= allowed { "used up" } else { "room" };
    format!("{}: {used} of {allowed}, {room}", limit.name())
}

fn of_candidate(candidate: &Candidate, service: &Target) -> String {
    let Candidate { backend, weight, state, places, open_flows, unused } = candidate;
    let part = match unused {
        None => {
            let percent = f64::from(*places) * 100.0 / f64::from(service.places.max(1));
            format!("{percent:.1} % of the places")
        }
        Some(Unused::Starting) => "not used: it has not answered yet, or its deployment has not switched".to_owned(),
        Some(Unused::Draining) => "not used: draining".to_owned(),
        Some(Unused::Down) => "not used: it does not answer probes".to_owned(),
        Some(Unused::OtherFamily) => "not used: of the other version of the Internet Protocol".to_owned(),
    };
    let state = match state {
        BackendState::Starting => "starting",
        BackendState::Active => "active",
        BackendState::Draining => "draining",
    };
    format!("{backend}, {state}, weight {weight}, {open_flows} open flows, {part}")
}

fn of_choice(Choice { backend, by, places, drawn, random }: &Choice) -> String {
    let place = places.first().copied().unwrap_or_default();
    let why = match by {
        Rule::Flow => "the flow is with it".to_owned(),
        Rule::Tuple => format!("place {place}, by the hash of both addresses and ports"),
        Rule::Address => format!("place {place}, by the hash of the client's address"),
        Rule::FewerFlows => {
            let drawn: Vec<String> = drawn.iter().map(ToString::to_string).collect();
            format!("fewer open flows for its weight, of {}", drawn.join(" and "))
        }
        Rule::Elsewhere => "drawn in the place of one that has not taken the SYN or has no source port left".to_owned(),
    };
    let random = if *random { "; drawn anew for each SYN" } else { "" };
    format!("{backend}: {why}{random}")
}

fn of_source(Source { address, random, addresses, ports, taken }: &Source) -> String {
    let address = match address {
        Some(address) if *random => format!("for example {address}, drawn from"),
        Some(address) => return address.to_string(),
        None => "none is free of".to_owned(),
    };
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let TableFill { open, capacity } = taken;
    format!("{address} {}, ports {ports}; {open} of {capacity} are taken", addresses.join(", "))
}

fn of_next_hop(NextHop { interface, address, mac, neighbour, mtu, by }: &NextHop) -> String {
    let mac = mac.as_deref().unwrap_or("hardware address not known");
    format!("{address} on {interface}, {mac} ({neighbour}), MTU {mtu}, sent by {}", program(*by))
}
