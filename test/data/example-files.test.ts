/** Files of examples: their lines in order, and what is wrong with a file, by its line. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readExamples, streamExamples } from "../../src/data/examples.ts";
import { readLines } from "../../src/data/lines.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-data-"));

afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("files of data", () => {
  const line = (prompt: string) => JSON.stringify({ prompt, completion: "c" });

  it("are read in order, blank lines and a byte order mark passed over, up to a limit", async () => {
    const a = write("a.jsonl", `\ufeff${line("1")}\r\n\n  \n${line("2")}\n`);
    const b = write("b.jsonl", line("\ufeff3"));
    const examples = await readExamples([a, b]);
    expect(examples.map((e) => [e.form === "prompt" && e.prompt, e.file, e.line])).toEqual([
      ["1", a, 1],
      ["2", a, 4],
      ["\ufeff3", b, 1],
    ]);
    expect(await readExamples([a, b], { limit: 2 })).toEqual(examples.slice(0, 2));
  });

  it("name the line that is wrong", async () => {
    const path = write("bad.jsonl", `${line("1")}\n\n{"prompt":\n`);
    await expect(readExamples([path])).rejects.toThrow(
      failure("data_invalid", /bad\.jsonl, line 3: the line is not valid JSON/),
    );
  });

  it.each(["", "\n\n", "  "])("are refused where they hold no example: %j", async (content) => {
    await expect(readExamples([write("empty.jsonl", content)])).rejects.toThrow(failure("data_invalid", /is empty/));
  });

  it("are refused where they are none", async () => {
    await expect(readExamples([join(dir, "none.jsonl")])).rejects.toThrow(failure("usage", /There is no file/));
    await expect(readExamples([dir])).rejects.toThrow(failure("usage", /is a directory/));
  });

  it("are refused where a line is no UTF-8", async () => {
    const path = write("latin.jsonl", Buffer.concat([Buffer.from(`${line("1")}\n`), Buffer.from([0xe9, 0x0a])]));
    await expect(readExamples([path])).rejects.toThrow(failure("data_invalid", /line 2: the line is not valid UTF-8/));
  });

  it("are cut at the same lines however long they are", async () => {
    const texts = Array.from({ length: 3000 }, (_, i) => "é😀".repeat(i % 700) + i);
    const path = write("long.txt", texts.join("\n"));
    const read: string[] = [];
    for await (const { line: number, text } of readLines(path)) expect(read.push(text)).toBe(number);
    expect(read).toEqual(texts);
  });

  it("can be left early", async () => {
    const path = write("many.jsonl", `${line("1")}\nno JSON\n`);
    for await (const example of streamExamples([path])) {
      expect(example.line).toBe(1);
      break;
    }
  });
});
