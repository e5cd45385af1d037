#!/usr/bin/env bash
# One question to several adapters, a stream, and an upload. Needs curl.
set -euo pipefail
url=${MOSARA_URL:-http://127.0.0.1:8080}
json='content-type: application/json'
question='Hello, where is my red kettle from order 4821?'

for adapter in pirate formal json; do
  printf '\n%s: ' "$adapter"
  curl -sS --fail-with-body "$url/v1/chat/completions" -H "$json" \
    -d '{"model":"'$adapter'","messages":[{"role":"user","content":"'"$question"'"}],"temperature":0}'
done

printf '\n\na stream:\n'
curl -sSN --fail-with-body "$url/v1/chat/completions" -H "$json" \
  -d '{"model":"pirate","messages":[{"role":"user","content":"'"$question"'"}],"temperature":0,"stream":true}' | sed -n '1,4p'

printf '\nthe same bytes under another name, which works at once:\n'
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT
curl -sS --fail-with-body "$url/v1/adapters/pirate/content" -o "$copy"
curl -sS --fail-with-body -X PUT --data-binary "@$copy" "$url/v1/adapters/corsair" -o /dev/null -w '%{http_code}\n'
curl -sS --fail-with-body "$url/v1/chat/completions" -H "$json" \
  -d '{"model":"corsair","messages":[{"role":"user","content":"'"$question"'"}],"temperature":0}'
curl -sS --fail-with-body -X DELETE "$url/v1/adapters/corsair"
echo
