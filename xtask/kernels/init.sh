#!/bin/busybox sh
# The first process of a machine that tries the gateway on its kernel: a client, a front server and a backend in
# namespaces, a file through the service in each mode, a restart, and detaching. Prints PASSED last if all of it worked.

/bin/busybox mkdir -p /usr/bin
/bin/busybox --install -s /usr/bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
for module in /modules/*.ko; do insmod "$module"; done

# busybox prefers its own `ip`, which knows no namespaces.
ip() { /bin/ip "$@"; }
on() { host=$1; shift; nsenter --net=/run/netns/"$host" "$@"; }

lab() {
    for host in client front backend; do
        ip netns add $host
        ip -n $host link set lo up
    done
    ip link add c0 netns client type veth peer name eth0 netns front
    ip link add b0 netns backend type veth peer name eth1 netns front
    ip -n client addr add 203.0.113.2/24 dev c0
    ip -n front addr add 203.0.113.10/24 dev eth0
    ip -n front addr add 10.0.1.1/24 dev eth1
    ip -n backend addr add 10.0.1.2/24 dev b0
    ip -n client link set c0 up
    ip -n front link set eth0 up
    ip -n front link set eth1 up
    ip -n backend link set b0 up
    # XDP cannot see checksums that are still to be filled in; GRO gives a veth the ring that redirection needs.
    on client /bin/ethtool -K c0 tx off gro on >/tmp/ethtool
    on backend /bin/ethtool -K b0 tx off gro on >/tmp/ethtool
    on front sysctl -q -w net.ipv4.ip_forward=1
    mkdir /tmp/files
    dd if=/dev/urandom of=/tmp/files/file bs=1024 count=2048 2>/dev/null
    on backend httpd -p 80 -h /tmp/files
}

configure() {
    cat >/tmp/gateway.toml <<END
[control]
socket = "/tmp/gateway.sock"
state = "/tmp/state"
[public]
address = ["203.0.113.10"]
[[interface]]
name = "eth0"
mode = "$1"
[[interface]]
name = "eth1"
mode = "$1"
[snat]
addresses = ["10.0.1.1"]
ports = "40000-65535"
[flows]
capacity = 4096
half_open = 4096
[backends]
capacity = 1024
[[service]]
name = "files"
listen = "203.0.113.10:8080"
[[service.backend]]
address = "10.0.1.2:80"
END
}

# Starts the daemon, and says how much work its programs were for the verifier.
start() {
    : >/tmp/log
    nsenter --net=/run/netns/front /bin/gateway run --config /tmp/gateway.toml >/tmp/log 2>&1 &
    daemon=$!
    until grep -q '^ready' /tmp/log; do
        if ! kill -0 $daemon 2>/dev/null; then
            tail -n 20 /tmp/log
            return 1
        fi
        sleep 0.2
    done
    for number in /proc/$daemon/fdinfo/*; do
        type=$(sed -n 's/^prog_type:\t*//p' $number)
        case $type in
            3) echo "TC: $(grep verified_insns $number)" ;;
            6) echo "XDP: $(grep verified_insns $number)" ;;
        esac
    done
}

stop() {
    kill -TERM $daemon
    wait $daemon
}

fetch() {
    rm -f /tmp/got
    on client timeout 20 wget -q -O /tmp/got http://203.0.113.10:8080/file
    cmp -s /tmp/got /tmp/files/file
}

refused() { ! fetch 2>/dev/null; }
detach() { on front /bin/gateway --socket /tmp/gateway.sock detach; }
has_mode() { on front /bin/gateway --socket /tmp/gateway.sock status | grep -q "eth0.*$mode"; }
nothing_pinned() { [ -z "$(ls /sys/fs/bpf)" ]; }

check() {
    what=$1
    shift
    if "$@"; then
        echo "ok: $mode: $what"
    else
        echo "FAILED: $mode: $what"
        failures=yes
    fi
}

echo "Linux $(uname -r)"
lab
for mode in tc xdp-native; do
    configure $mode
    check "the programs load and attach" start
    check "the mode is in force" has_mode
    check "a file comes through" fetch
    check "the daemon stops" stop
    check "a file comes through without the daemon" fetch
    check "a new daemon adopts what is pinned" start
    check "a file comes through after the restart" fetch
    check "the new daemon stops" stop
    check "detaching" detach
    check "nothing comes through once detached" refused
    check "nothing is pinned" nothing_pinned
done
[ -z "$failures" ] && echo PASSED
poweroff -f
