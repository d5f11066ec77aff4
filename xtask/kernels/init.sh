#!/bin/busybox sh
# The first process of a machine that tries the gateway on its kernel: it runs the tests that /plan names, and prints
# PASSED last if all of them passed.

/bin/busybox --install -s /usr/bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
for module in /modules/*.ko; do insmod "$module"; done
export GATEWAY_BIN=/target/debug/gateway

# A program of tests, with arguments that say which of them.
run() {
    program=$1
    shift
    echo "--- $program"
    "/target/debug/deps/$program" --show-output --test-threads 1 "$@" || failed=yes
}

echo "Linux $(uname -r), $(cut -d ' ' -f 1 /proc/uptime) s after power on"
"$GATEWAY_BIN" doctor || failed=yes
. /plan
[ -z "$failed" ] && echo PASSED
poweroff -f
