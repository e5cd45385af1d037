/** Files of other kinds where a .mosara file is wanted: each is named for what it is, with its way in. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { decodeAdapter, encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { readAdapter } from "../../src/cli/shared/read-adapter.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-foreign-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const [model = ""] = casesIn(fixturesDir("models"), "model.safetensors");
const bytes = Buffer.from(encodeAdapter(madeUpAdapter()));
const form = new Request("http://host/", {
  method: "POST",
  body: (() => {
    const data = new FormData();
    data.append("file", new Blob([bytes]), "a.mosara");
    return data;
  })(),
});
/** A local file header of one stored file, as every zip begins. */
const zip = (name: string): Buffer => {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), bytes]);
};
function tar(): Buffer {
  writeFileSync(join(dir, "a.mosara"), bytes);
  return spawnSync("tar", ["cf", "-", "-C", dir, "a.mosara"]).stdout;
}

const percent = (content: Buffer): string =>
  content.toString("latin1").replaceAll(/[^\w.]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`);

const FILES: readonly (readonly [what: string, bytes: Uint8Array, wanted: RegExp])[] = [
  [
    "safetensors",
    readFileSync(join(fixturesDir("models"), model, "model.safetensors")),
    /a safetensors file.*mosara import/,
  ],
  ["GGUF", Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(64)]), /a GGUF file.*--model/],
  ["a form", new Uint8Array(await form.arrayBuffer()), /a form.*--data-binary/],
  ["zip", zip("a.mosara"), /a zip archive.*Unpack/],
  ["PyTorch", zip("archive/data.pkl"), /a pickle of PyTorch.*safe_serialization/],
  ["pickle", Buffer.from("80047d", "hex"), /a pickle.*safe_serialization/],
  ["gzip", gzipSync(bytes), /a gzip archive.*Unpack/],
  ["tar", tar(), /a tar archive.*Unpack/],
  ["Git LFS", Buffer.from("version https://git-lfs.github.com/spec/v1\n"), /Git LFS.*git lfs pull/],
  ["HTML", Buffer.from("<!DOCTYPE html><html>"), /a web page/],
  ["JSON", Buffer.from('{"peft_type": "LORA"}'), /JSON.*mosara import/],
  ["base64", Buffer.from(bytes.toString("base64")), /base64.*Decode/],
  ["nothing", new Uint8Array(), /empty/],
  ["a form of names and values", Buffer.from(`file=${percent(bytes)}`), /a form.*--data-binary/],
  ["Latin-1 written as UTF-8", Buffer.from(bytes.toString("latin1")), /as if it were text.*--data-binary/],
  ["bytes read as UTF-8", Buffer.from(bytes.toString("utf8")), /as if it were text/],
  ["a byte order mark before it", Buffer.concat([Buffer.from("efbbbf", "hex"), bytes]), /as if it were text/],
  ["Markdown", Buffer.from("# Adapters\n\nThe adapters of the demo, für alle.\n"), /it is text.*\.mosara/],
];

describe("where a .mosara file is wanted", () => {
  it.each(FILES)("%s is named, with its way in", async (what, content, wanted) => {
    const refusal = expect.objectContaining({ code: "adapter_invalid", message: expect.stringMatching(wanted) });
    expect(() => decodeAdapter(content)).toThrow(refusal);
    const path = join(dir, what.replaceAll(" ", "-"));
    writeFileSync(path, content);
    await expect(readAdapter(path)).rejects.toThrow(refusal);
  });

  it("a .mosara file is none of them", () => {
    expect(decodeAdapter(bytes).method).toBe(madeUpAdapter().method);
  });
});
