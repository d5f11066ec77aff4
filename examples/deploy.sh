#!/bin/sh
# A step of a deploy pipeline: starts a new version in containers of this host and lets the gateway hand over to it.
#
#   deploy.sh SERVICE PORT PROGRAM [ARGUMENT...]
#
# CONTAINERS has the network namespaces to start it in, each with the address that the gateway reaches it by:
#
#   CONTAINERS="web-3=10.0.2.13 web-4=10.0.2.14" deploy.sh web 8080 /srv/web-2.0/server --port 8080
#
# The exit code is that of `gateway deploy`. 0: the new version serves, the old one has ended. Else the old one serves
# as before and the new one is ended, but for 3: the gateway does not answer, so nobody knows how far it had come.
#
# With systemd, `systemctl start web@8081` starts an instance of a template unit, and its backend is
# 10.0.2.13:8081,unit=web@8081.service; with Docker, `docker run --detach --name web-3` and 10.0.2.13:8080,container=web-3.
set -eu

service=$1
port=$2
shift 2

processes=
backends=
for container in $CONTAINERS; do
    name=${container%%=*}
    address=${container#*=}
    nohup ip netns exec "$name" "$@" >>"${LOGS:-/var/log}/$service-$name.log" 2>&1 </dev/null &
    processes="$processes $!"
    backends="$backends --backend $address:$port,pid=$!"
done

status=0
# shellcheck disable=SC2086 # a list of arguments
gateway deploy "$service" $backends --wait all \
    --timeout "${TIMEOUT:-60s}" --drain-timeout "${DRAIN_TIMEOUT:-5m}" --rollback-on-errors "${CONFIRM:-10s}" || status=$?

case $status in
0) echo "$service: the new version serves" ;;
3) echo "$service: how far it has come, \`gateway service show $service\` says once the gateway is back" >&2 ;;
*)
    # shellcheck disable=SC2086 # a list of processes, some of which may have ended by themselves
    kill $processes 2>/dev/null || true
    echo "$service: the old version serves as before" >&2
    ;;
esac
exit "$status"
