/**
 * The laws of the engine on real graphs: isolation bit for bit, cached = full, chunked = whole, zero adapter = bare
 * base.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WeightKind } from "../../../src/base/manifest.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { maxAbs, maxAbsDifference } from "../../helpers/allclose.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { writeCheckpoint } from "../../helpers/models/checkpoints.ts";
import { casesIn, fixturesDir } from "../../helpers/fixtures.ts";
import { freshId, openTestRunner, type TestRunner } from "../../helpers/engine/runner.ts";
import { randomAdapter, randomBlend, randomLowRank, neighbours } from "../../helpers/engine/random-rows.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-laws-"));

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/**
 * A random checkpoint of a real model's width (896, 14/2 heads of 64, MLP 4864). One layer: what differs at this width
 * is the kernels' blocking, the same in every layer, and most of this file's time is spent on it; the small ones have
 * several.
 */
function wideCheckpoint(): Promise<string> {
  const raw = {
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
    hidden_size: 896,
    intermediate_size: 4864,
    num_hidden_layers: 1,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    vocab_size: 512,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
    eos_token_id: 0,
  };
  return writeCheckpoint(join(scratch, "wide"), raw, { scale: 0.05 });
}

/**
 * A random checkpoint whose sizes no kernel likes: heads of 20 (padded to 24), 3 heads on 1, no width a multiple of a
 * block, and a context that is no multiple of the cache's steps.
 */
function oddCheckpoint(): Promise<string> {
  const raw = {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: 60,
    intermediate_size: 100,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 20,
    vocab_size: 97,
    max_position_embeddings: 100,
    tie_word_embeddings: false,
    eos_token_id: 0,
  };
  return writeCheckpoint(join(scratch, "odd"), raw);
}

const WIDE = "896 wide";

const PROMPT_LENGTHS = [5, 64, 1, 70, 33];
/**
 * On the wide model products differ, not attention. A prompt is prefilled alone, so a long one would only take time.
 */
const WIDE_PROMPT_LENGTHS = [5, 17, 1, 20, 9];

interface Spec {
  readonly prompt: readonly number[];
  readonly adapter: AdapterRow | null;
}

interface Running {
  readonly id: number;
  readonly spec: Spec;
}

async function startSequence(test: TestRunner, spec: Spec): Promise<Running> {
  const id = freshId();
  test.runner.kv.admit(id, spec.prompt.length + 8);
  for (let past = 0; past < spec.prompt.length; past += 64) {
    const tokenIds = Int32Array.from(spec.prompt.slice(past, past + 64));
    await test.runner.prefill({ id, past, tokenIds, adapter: spec.adapter, logitPositions: [] });
  }
  test.runner.kv.startDecoding(id);
  return { id, spec };
}

/** Logits of one decode step, by sequence. The step can be repeated: it writes the same position again. */
async function decodeStep(test: TestRunner, sequences: readonly Running[]): Promise<Map<number, Float32Array>> {
  const V = test.runner.vocabSize;
  const byId = new Map(sequences.map((one) => [one.id, one]));
  const rows = test.runner.kv.decodingIds().map((id) => {
    const { spec } = byId.get(id)!; // every decoding row is one of ours
    return { id, tokenId: spec.prompt[0] ?? 0, past: spec.prompt.length, adapter: spec.adapter };
  });
  const logits = await (await test.runner.decode(rows)).all();
  return new Map(rows.map(({ id }, row) => [id, logits.slice(row * V, (row + 1) * V)]));
}

/** The logits of a step of this sequence alone. */
async function aloneStep(test: TestRunner, spec: Spec): Promise<Float32Array> {
  const sequence = await startSequence(test, spec);
  const logits = (await decodeStep(test, [sequence])).get(sequence.id)!; // it is the only one
  test.runner.kv.release(sequence.id);
  return logits;
}

function promptOf(index: number, vocabSize: number, lengths = PROMPT_LENGTHS): number[] {
  const length = lengths[index % lengths.length] ?? 5;
  return Array.from({ length }, (_, i) => (3 + i * 31 + index * 17) % vocabSize);
}

const checkpoints = new Map<string, Promise<string>>([
  ...casesIn(fixturesDir("models"), "expected.json")
    .filter((name) => ["llama", "qwen2"].includes(modelType(join(fixturesDir("models"), name))))
    .map((name) => [name, Promise.resolve(join(fixturesDir("models"), name))] as const),
  [WIDE, wideCheckpoint()],
  ["heads of 20, widths 60 and 100", oddCheckpoint()],
]);

function modelType(dir: string): string {
  return (JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as { model_type: string }).model_type;
}

const FORMATS: readonly { weights: WeightKind; blockSize: number | null }[] = [
  { weights: "float32", blockSize: null },
  { weights: "int8", blockSize: 128 },
  { weights: "int8", blockSize: 32 },
  { weights: "int4", blockSize: 32 },
  { weights: "int4", blockSize: 128 },
];

describe.each([...checkpoints.keys()])("on %s", (name) => {
  const checkpoint = (): Promise<string> => checkpoints.get(name)!; // the key of this block
  const base = async (format: (typeof FORMATS)[number]): Promise<string> => {
    const first = await builtBase(await checkpoint());
    return format.weights === "float32" ? first : builtBase(await checkpoint(), { ...format, basisFrom: first });
  };

  describe.each(FORMATS)("in $weights ($blockSize)", (format) => {
    let test: TestRunner;
    beforeAll(async () => {
      test = await openTestRunner(await base(format));
    });
    afterAll(() => test[Symbol.asyncDispose]());

    it("alone or anywhere in any batch, a sequence has the same bits", async () => {
      const specs = neighbours(test).map((adapter, i): Spec => ({
        adapter,
        prompt: promptOf(i, test.runner.vocabSize, name === WIDE ? WIDE_PROMPT_LENGTHS : PROMPT_LENGTHS),
      }));
      const alone = new Map<Spec, Float32Array>();
      for (const spec of specs) alone.set(spec, await aloneStep(test, spec));
      const running: Running[] = [];
      const check = async (what: string): Promise<void> => {
        const got = await decodeStep(test, running);
        for (const { id, spec } of running)
          expect(
            bitsEqual(got.get(id)!, alone.get(spec)!), // both hold every running sequence
            `${what}: sequence ${specs.indexOf(spec)} of ${running.length}`,
          ).toBe(true);
      };
      for (const spec of specs) {
        running.push(await startSequence(test, spec));
        await check("joined");
        // The first leaves, the last takes its row, and it comes back at the end: everyone's place changes as sizes
        // grow.
        const [first] = running.splice(0, 1) as [Running];
        test.runner.kv.release(first.id);
        running.push(await startSequence(test, first.spec));
        await check("moved");
      }
      for (const { id } of running) test.runner.kv.release(id);
    });

    it("a zero adapter is the base built without targets, bit for bit", async () => {
      await using bare = await openTestRunner(await builtBase(await checkpoint(), { ...format, targets: "none" }));
      const ids = promptOf(3, test.runner.vocabSize);
      const adapted = randomAdapter(test, 5);
      const zero = {
        ...adapted,
        gains: adapted.gains.map((row) => row.slice().fill(0)),
        scales: adapted.scales.map((row) => row.slice().fill(0)),
      };
      const expected = await bare.score(ids);
      expect(bitsEqual(await test.score(ids), expected), "no adapter").toBe(true);
      expect(bitsEqual(await test.score(ids, { adapter: zero }), expected), "zero adapter").toBe(true);
      expect(bitsEqual(await test.score(ids, { adapter: adapted }), expected), "another adapter").toBe(false);
    });

    it("cached decode and chunked prefill equal a whole prefill", async () => {
      const V = test.runner.vocabSize;
      const ids = Array.from({ length: 80 }, (_, i) => (7 + i * 13) % V); // chunks of 64 and 16; 20 tokens decoded
      for (const adapter of [
        null,
        randomAdapter(test, 8),
        randomAdapter(test, 9, 4, "full"),
        randomLowRank(test, 10, "lora", 8, 7),
        randomBlend(test, 11),
      ]) {
        const whole = await test.score(ids, { adapter, chunk: ids.length });
        expectSame(await test.score(ids, { adapter }), whole, format.weights, "chunked");
        const decoded = await teacherForced(test, ids, 60, adapter);
        expectSame(decoded, whole.subarray(59 * V), format.weights, "decoded");
      }
    });
  });
});

describe("an adapter made for the float32 build", () => {
  it("fits the int8 build of the same checkpoint that took its bases over, and changes it the same way", async () => {
    const checkpoint = join(fixturesDir("training"), "base");
    const float32Dir = await builtBase(checkpoint);
    await using float32 = await openTestRunner(float32Dir);
    await using int8 = await openTestRunner(await builtBase(checkpoint, { weights: "int8", basisFrom: float32Dir }));
    expect(int8.manifest.baseId).toBe(float32.manifest.baseId);
    expect(int8.manifest.targets).toEqual(float32.manifest.targets);
    const ids = promptOf(0, 160);
    const effect = async (test: TestRunner): Promise<Float32Array> => {
      const base = await test.score(ids);
      return (await test.score(ids, { adapter: randomAdapter(test, 4) })).map((value, i) => value - base[i]!);
    };
    const wanted = await effect(float32);
    const got = await effect(int8);
    const squares = wanted.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0); // as long as `wanted`
    expect(Math.sqrt(squares / wanted.length)).toBeLessThan(0.1 * maxAbs(wanted));
    // Single logits vary with the model: a third of the largest effect was seen on one with scaled positions and
    // windows.
    expect(maxAbsDifference(got, wanted)).toBeLessThan(0.5 * maxAbs(wanted));
  });
});

/**
 * Logits of two ways to compute the same. Quantised products round activations to int8: where two float32 results fall
 * on different sides of a rounding, one step of 1/127 appears and spreads, so single logits differ by up to 0.02 of the
 * maximum (0.045 on models with scaled positions and windows) while the root mean square stays below 0.003.
 */
function expectSame(got: Float32Array, wanted: Float32Array, weights: WeightKind, what: string): void {
  const worst = maxAbsDifference(got, wanted) / maxAbs(wanted);
  if (weights === "float32") return expect(worst, what).toBeLessThanOrEqual(1e-5);
  const squares = wanted.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0); // as long as `wanted`
  expect(Math.sqrt(squares / wanted.length) / maxAbs(wanted), `${what}: root mean square`).toBeLessThanOrEqual(5e-3);
  expect(worst, what).toBeLessThanOrEqual(6e-2);
}

/** Logits after positions `from`−1…: a prompt of `from` ids prefilled, then the others decoded one by one. */
async function teacherForced(
  test: TestRunner,
  ids: readonly number[],
  from: number,
  adapter: AdapterRow | null,
): Promise<Float32Array> {
  const V = test.runner.vocabSize;
  const out = new Float32Array((ids.length - from + 1) * V);
  const id = freshId();
  test.runner.kv.admit(id, ids.length);
  const tokenIds = Int32Array.from(ids.slice(0, from));
  const prompt = await test.runner.prefill({ id, past: 0, tokenIds, adapter, logitPositions: [from - 1] });
  out.set(await prompt.all());
  test.runner.kv.startDecoding(id);
  for (let past = from; past < ids.length; past++) {
    const logits = await test.runner.decode([{ id, tokenId: ids[past] ?? 0, past, adapter }]);
    out.set(await logits.all(), (past - from + 1) * V);
  }
  test.runner.kv.release(id);
  return out;
}

/** Whether two arrays hold the same bits. */
function bitsEqual(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, at) => Object.is(value, b[at]));
}
