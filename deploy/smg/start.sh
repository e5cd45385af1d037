#!/bin/sh
# Starts Shepherd Model Gateway (smg) before mosara servers, in the foreground:
#   deploy/smg/start.sh HOST:PORT…
# LISTEN (127.0.0.1:8000) and STATISTICS (127.0.0.1:29000) are variables of the environment. SMG is the program. RUN_DIR
# is a folder for the key of smg's control plane, which may add and remove servers.
set -eu
[ $# -gt 0 ] || { echo "start.sh: wanted HOST:PORT of each mosara server, found no argument" >&2; exit 2; }
smg=${SMG:-smg}
command -v "$smg" >/dev/null || { echo "start.sh: smg is not installed: pip install smg==1.13.0" >&2; exit 1; }
run=${RUN_DIR:-$(mktemp -d)}
listen=${LISTEN:-127.0.0.1:8000} statistics=${STATISTICS:-127.0.0.1:29000}
# Without keys, every caller could add a server and so read all requests.
(umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$run/control-plane-key")
servers=
for server in "$@"; do servers="$servers http://$server"; done
# Checks and retries: a request that meets a lost server is sent again until the checks have found it, which takes a
# second. A vLLM server is what mosara is most like.
# shellcheck disable=SC2086 # one word for each server
exec "$smg" launch --backend vllm --worker-urls $servers --host "${listen%:*}" --port "${listen##*:}" \
  --policy consistent_hashing --routing-key-headers x-routing-key \
  --control-plane-api-keys "operator:Operator:admin:$(cat "$run/control-plane-key")" \
  --prometheus-host "${statistics%:*}" --prometheus-port "${statistics##*:}" \
  --health-check-endpoint /readyz --health-check-interval-secs 1 --health-check-timeout-secs 1 \
  --health-failure-threshold 1 --health-success-threshold 1 \
  --retry-max-retries 20 --retry-initial-backoff-ms 50 --retry-max-backoff-ms 200 \
  --disable-worker-overload-protection --disable-tokenizer-autoload --log-level "${LOG_LEVEL:-warn}"
