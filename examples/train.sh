#!/usr/bin/env bash
# From a file of examples to an adapter that answers. Run it in the repository, beside a running demo.
set -euo pipefail
url=${MOSARA_URL:-http://127.0.0.1:8080}
mosara=${MOSARA:-npx mosara}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

$mosara train --model models/demo --data docs/demo/butler.jsonl --steps "${STEPS:-120}" --out "$out/butler.mosara"
curl -sS --fail-with-body -X PUT --data-binary "@$out/butler.mosara" "$url/v1/adapters/butler" -o /dev/null
curl -sS --fail-with-body "$url/v1/chat/completions" -H 'content-type: application/json' \
  -d '{"model":"butler","messages":[{"role":"user","content":"I am Belta. Please cancel my order 7305."}],"temperature":0}'
echo
