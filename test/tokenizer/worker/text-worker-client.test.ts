/** The text worker as it runs: the built JavaScript, a real thread, real time limits. Needs `npm run build`. */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Pool from "../../../src/tokenizer/worker/text-worker-client.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";

const ROOT = join(fixturesDir("text"), "tokenizers");
const BUILT = join(
  import.meta.dirname,
  "..",
  "..",
  "..",
  "dist",
  "src",
  "tokenizer",
  "worker",
  "text-worker-client.js",
);
const TEMPLATE = `
{%- if messages[0].content == 'loop' %}{% for a in range(99999) %}{% set b = range(99999) | list %}{% endfor %}{% endif %}
{%- if messages[0].role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}
{%- for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}`;

describe("createTextWorker", () => {
  let createTextWorker: typeof Pool.createTextWorker;
  let dir = "";
  beforeAll(async () => {
    ({ createTextWorker } = (await import(pathToFileURL(BUILT).href)) as typeof Pool);
    dir = await mkdtemp(join(tmpdir(), "mosara-text-worker-"));
    const [name = ""] = casesIn(ROOT, "cases.json");
    await cp(join(ROOT, name), dir, { recursive: true });
    await writeFile(join(dir, "chat_template.jinja"), TEMPLATE);
  });
  afterAll(() => rm(dir, { recursive: true }));

  it("encodes long texts and conversations as the tokenizer itself does", async () => {
    await using worker = await createTextWorker(dir);
    const long = "The quick brown fox. ".repeat(1000);
    expect(await worker.encode(long)).toEqual(worker.tokenizer.encode(long));
    const ids = await worker.encodeChat([{ role: "user", content: "hi" }]);
    expect(ids).toEqual(worker.tokenizer.encode("user: hi", { addSpecialTokens: false }));
  });

  it("does not hold up the event loop while a megabyte is encoded", async () => {
    await using worker = await createTextWorker(dir);
    const text = "It was the best of times, it was the worst of times.\n".repeat(20_000);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    await worker.encode(text);
    delay.disable();
    expect(delay.percentile(99) / 1e6).toBeLessThan(50);
  });

  it("answers the template's own refusal and continues", async () => {
    await using worker = await createTextWorker(dir);
    await expect(worker.encodeChat([{ role: "tool", content: "x" }])).rejects.toMatchObject({
      code: "invalid_request",
      message: "no tools here",
    });
    expect((await worker.encodeChat([{ role: "user", content: "x" }])).length).toBeGreaterThan(0);
  });

  it("kills a job that takes too long, names it, and serves those that waited", async () => {
    await using worker = await createTextWorker(dir, { templateTimeoutMs: 50 });
    const stuck = worker.encodeChat([{ role: "user", content: "loop" }]);
    const waiting = worker.encode("a b c ".repeat(3000));
    await expect(stuck).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining("chat template"),
    });
    expect((await waiting).length).toBeGreaterThan(0);
  });

  it("answers what waits when it is closed", async () => {
    const worker = await createTextWorker(dir);
    const refused = expect(worker.encode("a b c ".repeat(3000))).rejects.toMatchObject({ code: "engine_unavailable" });
    await worker.close();
    await refused;
    await expect(worker.encode("a b c ".repeat(3000))).rejects.toMatchObject({ code: "engine_unavailable" });
  });

  it("says why it cannot start", async () => {
    await expect(createTextWorker(join(dir, "nowhere"))).rejects.toMatchObject({ code: "checkpoint_invalid" });
  });
});
