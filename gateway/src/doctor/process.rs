//! What a gateway that this user starts may do.

use std::{io, os::unix::net::UnixStream, path::Path};

use super::{Check, Finding};
use crate::host::privileges::{self, KEPT, REQUIRED};

pub(super) fn capabilities() -> Finding {
    let check = Check { name: "capabilities", why: "the kernel loads and attaches no programs without them" };
    let fix = "run it as root, or grant them to its service (packaging/gateway.service)";
    match privileges::effective(REQUIRED) {
        Ok(had) if had == REQUIRED => check.ok(privileges::names(had).join(", ")),
        Ok(had) => check.error(format!("{} are missing", privileges::names(REQUIRED - had).join(", ")), fix),
        Err(error) => check.error(format!("{error:#}"), fix),
    }
}

pub(super) fn other_rights() -> Finding {
    let check =
        Check { name: "optional capabilities", why: "resets for cut connections, signals to processes of other users" };
    let wanted = KEPT - REQUIRED;
    match privileges::effective(wanted) {
        Ok(had) if had == wanted => check.ok(privileges::names(had).join(", ")),
        Ok(had) => check.warning(
            format!("{} are missing", privileges::names(wanted - had).join(", ")),
            "run it as root, or grant them to its service",
        ),
        Err(error) => check.unknown(format!("{error:#}")),
    }
}

/// Of Docker's socket, if there is to be one.
pub(super) fn docker(socket: Option<&Path>) -> Option<Finding> {
    let check = Check { name: "Docker", why: "containers become backends by their labels" };
    let socket = socket?;
    let path = socket.display();
    Some(match UnixStream::connect(socket) {
        Ok(_) => check.ok(format!("{path} is answered")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => check.unknown(format!("{path}: {error}")),
        Err(error) => check.warning(
            format!("{path}: {error}"),
            "start Docker, or name its socket in [docker] socket; the gateway goes on trying",
        ),
    })
}
