#!/bin/sh
# Starts HAProxy before mosara servers, in the foreground:
#   deploy/haproxy/start.sh HOST:PORT…
# LISTEN (127.0.0.1:8000), STATISTICS (127.0.0.1:8404) and MOSARA_MODEL (demo, the name that the base is served under)
# are variables of the environment. RUN_DIR is a folder for the configuration and the admin socket.
set -eu
[ $# -gt 0 ] || { echo "start.sh: wanted HOST:PORT of each mosara server, found no argument" >&2; exit 2; }
PATH=$PATH:/usr/sbin
command -v haproxy >/dev/null || { echo "start.sh: haproxy is not installed: apt-get install haproxy" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
run=${RUN_DIR:-$(mktemp -d)}
{
  cat "$here/haproxy.cfg"
  number=0
  for server in "$@"; do
    number=$((number + 1))
    echo "  server replica-$number $server"
  done
  # Where no server passes its checks, each is tried nevertheless.
  echo "  option allbackups"
  number=0
  for server in "$@"; do
    number=$((number + 1))
    echo "  server unchecked-$number $server backup no-check observe none"
  done
} >"$run/haproxy.cfg"
HAPROXY_LISTEN=${LISTEN:-127.0.0.1:8000} HAPROXY_STATISTICS=${STATISTICS:-127.0.0.1:8404}
HAPROXY_ADMIN_SOCKET=$run/admin.sock HAPROXY_ERROR=$here/error.json MOSARA_MODEL=${MOSARA_MODEL:-demo}
export HAPROXY_LISTEN HAPROXY_STATISTICS HAPROXY_ADMIN_SOCKET HAPROXY_ERROR MOSARA_MODEL
exec haproxy -db -f "$run/haproxy.cfg"
