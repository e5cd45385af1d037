#!/usr/bin/env bash
# @hono/node-server 2.1.9: an HTTP/1.0 request without a Host header gets 400 before any handler, although HTTP/1.0 does
# not require Host. HAProxy's plain `option httpchk` sends such a request, so HAProxy considers the server down. With
# the option `hostname` set, the same request is served. Seen: "default: 400", "with hostname: 200".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund hono@4.13.19 @hono/node-server@2.1.9 >/dev/null
cat >try.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
const app = new Hono().get("/", (c) => c.text("up"));
for (const [name, options] of [["default", {}], ["with hostname", { hostname: "127.0.0.1" }]]) {
  const server = createServer({ requireHostHeader: false }, getRequestListener(app.fetch, options)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect(server.address().port, "127.0.0.1", () => socket.end("GET / HTTP/1.0\r\n\r\n"));
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  console.log(`${name}: ${answer.split(" ")[1]}`);
  server.close();
}
JS
output=$(node try.mjs)
echo "$output"
[[ $output == $'default: 400\nwith hostname: 200' ]]
