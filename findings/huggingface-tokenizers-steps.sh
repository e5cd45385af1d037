#!/usr/bin/env bash
# @huggingface/tokenizers 0.2.0 (JavaScript) splits text differently from tokenizers 0.23.3 (Rust, Python) with the same
# tokenizer.json. `Digits` splits at every \p{N} in the original, but only at ASCII digits in JavaScript. "1 ½" or
# Arabic-Indic numbers therefore get other ids. Seen: rust [0, 1, 0, 2], javascript [3,4].
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund @huggingface/tokenizers@0.2.0 >/dev/null
python3 -m venv venv && venv/bin/pip install -q tokenizers==0.23.3 2>/dev/null
cat >tokenizer.json <<'JSON'
{ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
  "pre_tokenizer": { "type": "Digits", "individual_digits": true }, "post_processor": null, "decoder": null,
  "model": { "type": "BPE", "vocab": { "a": 0, "½": 1, "٣": 2, "a½": 3, "a٣": 4 }, "merges": [["a", "½"], ["a", "٣"]],
    "unk_token": null, "dropout": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
    "fuse_unk": false, "byte_fallback": false, "ignore_merges": false } }
JSON
cat >try.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
const tokenizer = new Tokenizer(JSON.parse(readFileSync("tokenizer.json", "utf8")), {});
console.log(JSON.stringify(tokenizer.encode("a½a٣").ids.map(Number)));
JS
rust=$(venv/bin/python -c 'from tokenizers import Tokenizer; print(Tokenizer.from_file("tokenizer.json").encode("a½a٣").ids)')
javascript=$(node try.mjs)
echo "rust: $rust"
echo "javascript: $javascript"
[[ $rust == "[0, 1, 0, 2]" && $javascript == "[3,4]" ]]
