#!/bin/sh
# Starts a Ray cluster on this machine with mosara under Ray Serve, in the foreground:
#   deploy/ray/start.sh [serve.yaml]
# RAY_PORT (6379, and the four ports after it) and RAY_CPUS (16, of which each replica asks for one) are variables of
# the environment. RUN_DIR is a folder for the cluster's files and the servers' copies of adapters.
set -eu
command -v serve >/dev/null || { echo 'start.sh: Ray Serve is not installed: pip install "ray[serve]==2.60.0"' >&2; exit 1; }
root=$(cd "$(dirname "$0")/../.." && pwd)
config=${1:-$root/deploy/ray/serve.yaml}
run=${RUN_DIR:-$(mktemp -d)}
port=${RAY_PORT:-6379}
mkdir -p "$run/servers" "$run/ray"
# Workers find deploy.ray in the folder of mosara.
export TMPDIR="$run/servers" PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# Others on this machine may not send jobs to the cluster.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$run/token"
(umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$run/token")
# A busy machine needs longer than Ray expects.
export RAY_gcs_server_request_timeout_seconds=300 RAY_agent_register_timeout_ms=300000
# A replica that does not report its queue in time loses the request, and the adapter its replica. Ray waits for .1 s.
export RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S=2 RAY_SERVE_MAX_QUEUE_LENGTH_RESPONSE_DEADLINE_S=10
# Ray would give its workers, and so the servers, what processor time others leave.
export RAY_worker_niceness=0
cd "$root"

cluster= command=
end() {
  for process in $command $cluster; do
    kill "$process" 2>/dev/null || true
    wait "$process" || true
  done
}
trap end EXIT
trap 'exit 143' INT TERM
# A trap waits for a command in the foreground, and runs at once during `wait`.
run() {
  "$@" &
  command=$!
  wait "$command"
}
start_cluster() {
  ray start --head --block --node-ip-address 127.0.0.1 --port "$port" --num-cpus "${RAY_CPUS:-16}" \
    --temp-dir "$run/ray" --runtime-env-agent-port $((port + 1)) --metrics-export-port $((port + 2)) \
    --dashboard-agent-grpc-port $((port + 3)) --dashboard-agent-listen-port $((port + 4)) \
    --include-dashboard false --disable-usage-stats &
  cluster=$!
  until run ray status --address "127.0.0.1:$port" >/dev/null 2>&1; do
    kill -0 "$cluster" 2>/dev/null || return 1
    run sleep 1
  done
}
# Ray ends a cluster that is not complete within 30 seconds, whatever its settings say.
start_cluster || start_cluster || start_cluster || { echo "start.sh: the cluster does not start" >&2; exit 1; }
run serve run --non-blocking --address "127.0.0.1:$port" "$config"
wait "$cluster"
