//! The images of the lab's containers: a shell, and a server that ends as a good server does.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use super::{Docker, write_program};

/// What containers are made of.
pub const IMAGE: &str = "server:1";
/// The same, with another image id.
pub const NEWER_IMAGE: &str = "server:2";

/// Where the server listens, by its environment.
pub const PORT: u16 = 8000;

/// Says its name to every client and echoes what comes. Told to end, it says by which signal, accepts no more, and
/// ends with its last connection.
const SERVER: &str = r#"#!/bin/sh
nc -ll -p "$PORT" -e /bin/session &
listener=$!
end() {
    echo "got SIG$1"
    kill "$listener"
    while pidof cat > /dev/null; do sleep 0.05; done
    exit 0
}
for signal in TERM USR1 QUIT; do trap "end $signal" "$signal"; done
echo listening
while :; do wait; done
"#;

/// One connection of the server.
const SESSION: &str = "#!/bin/sh\necho \"$(cat /etc/hostname)\"\nexec cat\n";

const APPLETS: [&str; 7] = ["sh", "nc", "cat", "pidof", "sleep", "echo", "kill"];

/// Makes both images.
pub(super) fn make(docker: &Docker<'_>) {
    for image in [IMAGE, NEWER_IMAGE] {
        let root = docker.directory().join(image.replace(':', "-"));
        fill(&root, image);
        let archive = root.with_extension("tar");
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
        assert!(packed.expect("tar starts").success(), "cannot pack {}", root.display());
        let port = format!("ENV PORT={PORT}");
        docker.cli(&["import", "--change", &port, &archive.display().to_string(), image]).success();
    }
}

fn fill(root: &Path, version: &str) {
    for folder in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("the lab's folder is writable");
    }
    let found = Command::new("sh").args(["-c", "command -v busybox"]).output().expect("sh starts");
    let busybox = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    fs::copy(busybox, root.join("bin/busybox")).expect("busybox is readable");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).expect("the lab's folder is writable");
    }
    write_program(&root.join("bin/server"), SERVER);
    write_program(&root.join("bin/session"), SESSION);
    fs::write(root.join("etc/version"), version).expect("the lab's folder is writable");
}
