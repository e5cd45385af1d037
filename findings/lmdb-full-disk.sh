#!/usr/bin/env bash
# lmdb 3.5.6: a commit that meets a full disk formats its error into a buffer of 100 bytes (malloc(100), then sprintf in
# mdb_page_flush of mdb.c). The message is longer when the position has many digits or fewer than three blocks were
# written, since the sizes of the missing blocks are whatever lies in memory. The heap is damaged, and the process often
# ends a few commits later ("malloc assertion failure", "corrupted size vs. prev_size"). Seen: "longer than 99: yes".
# Needs Linux and the right to mount.
set -euo pipefail
dir=$(mktemp -d)
trap 'umount "$dir/disk" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
mkdir disk
mount -t tmpfs -o size=4m tmpfs disk
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund lmdb@3.5.6 >/dev/null
cat >try.mjs <<'JS'
import { appendFileSync, writeFileSync, writeSync } from "node:fs";
import { open } from "lmdb";
const root = open({ path: "disk/data", noSubdir: false, eventTurnBatching: false });
for (let key = 0; key < 100; key++) await root.put(key, Buffer.alloc(4000));
const reader = root.useReadTransaction(); // keeps freed pages from being used again, so that the file has to grow
root.get(0, { transaction: reader });
writeFileSync("disk/filler", "");
try {
  for (;;) appendFileSync("disk/filler", new Uint8Array(1024));
} catch {
  // The disk is full.
}
process.on("unhandledRejection", () => {});
for (let key = 1000; key < 1020; key++) {
  const failure = await root.put(key, Buffer.alloc(4000)).catch((error) => error);
  const reason = await failure.commitError?.catch((error) => error.message);
  const text = /Attempting.*/.exec(reason ?? "")?.[0] ?? "";
  writeSync(1, `${text.length}\n`); // at once: the process may end
}
JS
lengths=$(node try.mjs 2>/dev/null || echo "ended by a signal" >&2)
output="longer than 99: $(awk '$1 > 99 { long = 1 } END { print long ? "yes" : "no" }' <<<"$lengths")"
echo "$output"
[[ $output == "longer than 99: yes" ]]
