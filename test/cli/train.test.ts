/**
 * `mosara train` through the built program: processes that are killed, interrupted, resumed and given bad input. Needs
 * dist/.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { readStepLog } from "../../src/train/step-log.ts";
import { METHODS } from "../../src/adapter/methods.ts";
import { BASE, dir, write, example, data, held, run, COMMON, unbroken, contentOf } from "../helpers/train-command.ts";

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.each([
  ["mo-sara", ["--heads", "2"], [2, 9, 17, 26]],
  ["full", ["--method", "full", "--accumulate", "2"], [2, 17]],
])("%s", (name, flags, kills) => {
  it("killed at any moment and resumed gives the bytes of the unbroken run", async () => {
    const wanted = await unbroken(flags);
    const out = join(dir, `killed-${name}`);
    const args = [...COMMON, ...flags, "--out", out, "--resume"];
    for (const atLine of kills) expect((await run(args, { send: "SIGKILL", out, atLine })).code).toBe(null);
    const last = await run([...args, "--json"]);
    expect(last.code, last.stderr).toBe(0);
    expect(contentOf(out, flags).equals(wanted)).toBe(true);
    expect(readStepLog(`${out}.log.jsonl`).map(({ step }) => step)).toEqual([
      0,
      ...Array.from({ length: 24 }, (_, i) => ((i + 1) % 5 === 0 || i === 23 ? [i + 1, i + 1] : [i + 1])).flat(),
    ]);
    rmSync(out, { recursive: true });
    expect((await run(args)).code).toBe(0); // a finished run writes its result again
    expect(contentOf(out, flags).equals(wanted)).toBe(true);
  });
});

it("stops cleanly on a signal, says how to continue, and continues to the same bytes", async () => {
  const flags = ["--heads", "2"];
  const out = join(dir, "interrupted.mosara");
  const events = join(dir, "events");
  const args = [...COMMON, ...flags, "--out", out, "--tensorboard", events];
  const stopped = await run(args, { send: "SIGINT", out, atLine: 6 });
  expect(stopped.code).toBe(1);
  expect(stopped.stderr).toMatch(/Stopped at step \d+ of 24\. Everything is saved .*--resume/);
  expect(existsSync(out)).toBe(false);
  const resumed = await run([...args, "--save-every", "7", "--resume"]);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(readFileSync(out).equals(await unbroken(flags))).toBe(true);
  // Two records begin a file; then every line of the log has one. scripts/reference/read_events.py reads the numbers.
  const files = readdirSync(events).map((name) => numRecords(readFileSync(join(events, name))));
  expect(files).toHaveLength(2);
  expect(files.reduce((sum, count) => sum + count - 2, 0)).toBe(readStepLog(`${out}.log.jsonl`).length);
});

it("keeps the adapters of the last epochs, the same bytes if it is stopped between them", async () => {
  const flags = ["--keep-epochs", "2", "--save-every", "3"];
  const kept = async (name: string, stop?: { send: NodeJS.Signals; out: string; atLine: number }) => {
    const out = join(dir, `${name}.mosara`);
    const args = [...COMMON, ...flags, "--out", out];
    if (stop !== undefined) await run(args, { ...stop, out });
    const last = await run([...args, "--resume"]);
    expect(last.code, last.stderr).toBe(0);
    const names = readdirSync(dir).filter((file) => file.startsWith(`${name}.step-`));
    return names.sort().map((file) => [file.slice(name.length), readFileSync(join(dir, file))] as const);
  };
  const whole = await kept("epochs");
  expect(whole.map(([name]) => name)).toEqual([".step-18.mosara", ".step-24.mosara"]);
  for (const [, bytes] of whole) expect(decodeAdapter(bytes).targets.length).toBeGreaterThan(0);
  expect(await kept("stopped", { send: "SIGKILL", out: "", atLine: 22 })).toEqual(whole);
  const full = await run([...COMMON, ...flags, "--method", "full", "--out", join(dir, "no-epochs")]);
  expect([full.code, full.stderr]).toEqual([2, expect.stringMatching(/--keep-epochs keeps adapters.*Leave it out/)]);
});

/** Number of records of a TFRecord file. */
function numRecords(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; count++) at += 16 + Number(bytes.readBigUInt64LE(at));
  return count;
}

it.each(Object.keys(METHODS))(
  "trains %s to a better held-out loss, with a card that names no place",
  async (method) => {
    const out = join(dir, `${method}.mosara`);
    const { code, stdout, stderr } = await run([...COMMON, "--method", method, "--out", out, "--json"]);
    expect(code, stderr).toBe(0);
    const result = JSON.parse(stdout) as Record<string, number | string>;
    const bytes = readFileSync(out);
    const adapter = decodeAdapter(bytes);
    expect(Object.keys(result)).toEqual(
      "out generation method steps numParams bytes trainLoss evalLossBase evalLoss seconds".split(" "),
    );
    expect(result).toMatchObject({ method, steps: 24, bytes: bytes.length, generation: generationOf(bytes) });
    expect(result.evalLoss).toBeLessThan(result.evalLossBase as number);
    expect(adapter.method).toBe(method);
    expect(JSON.stringify(adapter.card)).not.toMatch(/\/|20\d\d-/);
  },
);

it("trains sara on layers that the base has no basis for, and mo-sara with fewer directions than it keeps", async () => {
  const ranks = async (name: string, flags: readonly string[]): Promise<Map<string, number>> => {
    const out = join(dir, name);
    const { code, stderr } = await run(["--data", data, "--steps", "2", ...flags, "--out", out]);
    expect(code, stderr).toBe(0);
    return new Map(decodeAdapter(readFileSync(out)).targets.map((target) => [target.name, target.k]));
  };
  const everywhere = await ranks("everywhere", ["--method", "sara", "--targets", "all-linear"]);
  const usual = await ranks("usual", []);
  const fewer = await ranks("fewer", ["--threshold", "0.05"]);
  const { num_hidden_layers: numLayers } = JSON.parse(readFileSync(join(BASE, "config.json"), "utf8")) as {
    num_hidden_layers: number;
  };
  expect(everywhere.size).toBe(7 * numLayers); // q, k, v, o, gate, up, down
  for (const [name, k] of usual) {
    expect(everywhere.get(name)).toBe(k);
    expect(fewer.get(name)).toBeLessThan(k);
  }
});

it("trains the whole model into a checkpoint that opens", async () => {
  const out = join(dir, "full");
  const { code, stdout, stderr } = await run([...COMMON, "--method", "full", "--out", out, "--json"]);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ generation: null, method: "full" });
  await using checkpoint = await openCheckpoint(out);
  expect(checkpoint.tensors.every(({ dtype }) => dtype === "float32")).toBe(true);
  const again = await run([...COMMON, "--method", "full", "--out", out]);
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/is not empty/);
});

it("trains the whole model on running text, held-out text included", async () => {
  const out = join(dir, "corpus");
  const text = write(
    "corpus.txt",
    Array.from({ length: 300 }, (_, i) => `Line ${i % 7} of a song.`),
  );
  const heldText = write("held-text.jsonl", [JSON.stringify({ text: "Line 3 of a song.\nLine 4 of a song." })]);
  const flags = ["--method", "full", "--max-length", "32", "--steps", "12", "--batch-size", "4"];
  const { code, stdout, stderr } = await run(["--data", text, "--eval", heldText, ...flags, "--out", out, "--json"]);
  expect(code, stderr).toBe(0);
  const { evalLoss, evalLossBase } = JSON.parse(stdout) as { evalLoss: number; evalLossBase: number };
  expect(evalLoss).toBeLessThan(0.9 * evalLossBase);
});

describe("refused before the first step:", () => {
  const out = join(dir, "refused.mosara");
  const bad = (name: string, lines: readonly string[]): string[] => ["--data", write(name, lines), "--out", out];
  it.each([
    ["an empty file", bad("empty.jsonl", []), 1, /empty\.jsonl.*empty/],
    ["a line that is no JSON", bad("nojson.jsonl", [example(1), "{"]), 1, /nojson\.jsonl, line 2: .*JSON/],
    [
      "a line without its field",
      bad("field.jsonl", [example(1), '{"prompt":"x"}']),
      1,
      /field\.jsonl, line 2: .*completion/,
    ],
    [
      "a prompt that fills the context",
      bad("long.jsonl", ['{"prompt":"' + "a b ".repeat(3000) + '","completion":"x"}']),
      1,
      /has a token to predict within 1024/,
    ],
    [
      "a place that is not there",
      ["--data", data, "--out", join(dir, "nowhere", "x.mosara")],
      2,
      /there is no directory/,
    ],
    ["a directory as the file", ["--data", data, "--out", dir], 2, /is a directory/],
    [
      "layers that are not there",
      ["--data", data, "--out", out, "--targets", "x_proj"],
      2,
      /x_proj matches no linear layer/,
    ],
    [
      "layers without a basis",
      ["--data", data, "--out", out, "--targets", "all-linear"],
      1,
      /has no basis for .*Build it/,
    ],
    ["a flag of another method", ["--data", data, "--out", out, "--rank", "4"], 2, /--rank is for --method lora/],
    ["too long examples asked for", ["--data", data, "--out", out, "--max-length", "5000"], 2, /1024 positions/],
  ])("%s", async (_, args, code, message) => {
    const ended = await run(args);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(code);
    expect(
      ended.stderr
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("mosara: ")),
    ).toHaveLength(1);
    expect(existsSync(out) || existsSync(`${out}.checkpoint`)).toBe(false);
  });
});

it("stops with advice when it diverges, and writes nothing that is no better than the base", async () => {
  const out = join(dir, "diverged.mosara");
  const { code, stderr } = await run([...COMMON, "--lr", "1e20", "--trust", "0", "--out", out]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/diverged at step \d+.*Nothing was written.*Lower --lr .*give --trust 0\.3/i);
  expect(existsSync(out)).toBe(false);
});

describe("a loss that explodes after a good beginning", () => {
  // A decay that grows with the rate until every step multiplies the values by less than -1.
  const exploding = ["--lr", "1", "--warmup", "40", "--steps", "40", "--weight-decay", "12", "--trust", "0"];
  const common = ["--data", data, "--batch-size", "4", "--seed", "3", ...exploding];

  it("ends the run with an error, and its best evaluated state is in the file", async () => {
    const out = join(dir, "exploded.mosara");
    const { code, stderr } = await run([...common, "--eval", held, "--eval-every", "2", "--out", out]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/diverged at step \d+: .*The best state, of step \d+, with a held-out loss of \d/);
    expect(stderr).toContain(out);
    const { evalLossBase, evalLoss, bestStep } = decodeAdapter(readFileSync(out)).card.scores as Record<string, number>;
    expect(evalLoss).toBeLessThan(evalLossBase!);
    const lines = readStepLog(`${out}.log.jsonl`);
    const evaluations = lines.flatMap((line) => ("evalLoss" in line && line.step > 0 ? [line] : []));
    const best = evaluations.toSorted((a, b) => a.evalLoss - b.evalLoss)[0];
    expect(best).toEqual({ step: bestStep, evalLoss });
    expect(evaluations.at(-1)!.evalLoss).toBeGreaterThan(evalLoss!);
  });

  it("keeps the state of the lowest training loss where nothing is held out", async () => {
    const out = join(dir, "exploded-unwatched.mosara");
    const { code, stderr } = await run([...common, "--out", out]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/The best state, of step \d+, with a training loss of \d/);
    expect(decodeAdapter(readFileSync(out)).targets.length).toBeGreaterThan(0);
  });
});

it("trains at a rate fifteen times the default, which the bound shortens", async () => {
  const out = join(dir, "fast.mosara");
  const { code, stdout } = await run([...COMMON, "--lr", "3", "--out", out, "--json"]);
  expect(code).toBe(0);
  const { evalLoss, evalLossBase } = JSON.parse(stdout) as { evalLoss: number; evalLossBase: number };
  expect(evalLoss).toBeLessThan(0.6 * evalLossBase);
  const steps = readStepLog(`${out}.log.jsonl`).flatMap((line) => ("lr" in line ? [line] : []));
  expect(Math.min(...steps.slice(0, 10).map(({ lr }) => lr))).toBeLessThan(1);
});

it("continues only with what it began with, puts an unfinished run aside, and says when there is none", async () => {
  const out = join(dir, "other.mosara");
  const first = await run([...COMMON, "--out", out, "--resume"], { send: "SIGINT", out, atLine: 3 });
  expect(first.stderr).toMatch(/there is no checkpoint .* beginning at step 0/);
  const other = await run([...COMMON, "--out", out, "--lr", "0.05", "--resume"]);
  expect(other.code).toBe(2);
  expect(other.stderr).toMatch(/belongs to another run: lr was 0\.2, is 0\.05/);
  const anew = await run([...COMMON, "--out", out]);
  expect(anew.code).toBe(0);
  expect(anew.stderr).toMatch(/beginning anew; the earlier checkpoint of step \d+/);
  expect(existsSync(`${out}.checkpoint.previous`)).toBe(true);
  const elsewhere = await run([...COMMON, "--out", out, "--resume", "--threads", "2"]);
  expect(elsewhere.code).toBe(0);
  expect(elsewhere.stderr).toMatch(/began with threads 1 and continues with 2/);
});
