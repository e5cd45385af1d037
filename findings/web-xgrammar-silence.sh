#!/usr/bin/env bash
# @mlc-ai/web-xgrammar 0.1.27: keywords of a JSON Schema are ignored silently, so the grammar accepts texts that the
# schema forbids. package.json declares the UMD bundle an ES module, so the bundle can be neither imported nor required.
# Seen: the lines at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund @mlc-ai/web-xgrammar@0.1.27 >/dev/null
cat >try.cjs <<'JS'
const { readFileSync } = require("node:fs");
const { compileFunction, constants } = require("node:vm");
const file = require.resolve("@mlc-ai/web-xgrammar");
const options = { filename: file, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER };
const library = {};
const names = ["exports", "module", "require", "__filename"];
compileFunction(readFileSync(file, "utf8"), names, options)(library, { exports: library }, require, file);
const { Grammar, Testings } = library;
(async () => {
  await import("@mlc-ai/web-xgrammar").catch((error) => console.log("import:", error.message.slice(0, 22)));
  for (const [schema, text] of [
    [{ type: "integer", multipleOf: 3 }, "7"],
    [{ type: "array", items: { type: "integer" }, uniqueItems: true }, "[1, 1]"],
    [{ type: "string", not: { const: "a" } }, '"a"'],
  ]) {
    const grammar = await Grammar.fromJSONSchema(JSON.stringify(schema));
    console.log(JSON.stringify(schema), "accepts", text, await Testings.isGrammarAcceptString(grammar, text));
  }
})();
JS
output=$(node --no-warnings try.cjs)
echo "$output"
[[ $output == 'import: require is not defined
{"type":"integer","multipleOf":3} accepts 7 true
{"type":"array","items":{"type":"integer"},"uniqueItems":true} accepts [1, 1] true
{"type":"string","not":{"const":"a"}} accepts "a" true' ]]
