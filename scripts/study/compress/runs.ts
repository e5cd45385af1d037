/**
 * One run of the study of compression: train a LoRA, export it as a PEFT directory, compress that, and measure both
 * through the serving engine. Every step that a stopped run has finished is kept.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mosaraJson } from "../../demo/program.ts";
import type { Task } from "../tasks.ts";

export interface CompressKey {
  readonly model: string;
  readonly task: string;
  /** Steps of the LoRA's training, and of the distillation. */
  readonly loraSteps: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly seed: number;
}

/** A metric of the LoRA or of the compressed adapter, with its 95 % interval over the examples. */
export interface CompressScore {
  readonly value: number;
  readonly interval: readonly [low: number, high: number];
}

export interface CompressStudyResult extends CompressKey {
  readonly originalParams: number;
  /** Of the PEFT directory's tensors. */
  readonly originalBytes: number;
  readonly numParams: number;
  readonly bytes: number;
  /** KL(LoRA ‖ adapter) and losses on held-out examples, nats a token. */
  readonly klBase: number;
  readonly klProjected: number;
  readonly klCompressed: number;
  readonly lossBase: number;
  readonly lossOriginal: number;
  readonly lossCompressed: number;
  readonly metric: string;
  readonly count: number;
  readonly baseScore: number;
  readonly original: CompressScore;
  readonly compressed: CompressScore;
  /** Of the compression alone. */
  readonly seconds: number;
}

type Compressed = Pick<
  CompressStudyResult,
  | "numParams"
  | "bytes"
  | "originalParams"
  | "klBase"
  | "klProjected"
  | "klCompressed"
  | "lossBase"
  | "lossOriginal"
  | "lossCompressed"
  | "seconds"
>;
interface Measured extends CompressScore {
  readonly count: number;
  readonly base: { readonly value: number };
}

const TARGETS = "q_proj,v_proj";
const RANK = 8;

/** @param base directory of the model */
export async function runCompress(
  base: string,
  task: Task,
  key: CompressKey,
  work: string,
  numThreads: number,
): Promise<CompressStudyResult> {
  const dir = join(work, "runs", Object.values(key).join("-"));
  mkdirSync(dir, { recursive: true });
  const place: RunPlace = { base, task, key, file: (name) => join(dir, name), threads: ["--threads", `${numThreads}`] };
  await trainLora(place);
  const made = await compress(place);
  const [original, compressed] = [await measure(place, LORA), await measure(place, SMALL)];
  const { seconds, numParams, bytes, originalParams, klBase, klProjected, klCompressed, ...losses } = made;
  return {
    ...key,
    originalParams,
    originalBytes: statSync(join(place.file(PEFT), "adapter_model.safetensors")).size,
    numParams,
    bytes,
    klBase,
    klProjected,
    klCompressed,
    lossBase: losses.lossBase,
    lossOriginal: losses.lossOriginal,
    lossCompressed: losses.lossCompressed,
    metric: task.metric,
    count: original.count,
    baseScore: original.base.value,
    original: scoreOf(original),
    compressed: scoreOf(compressed),
    seconds,
  };
}

interface RunPlace {
  readonly base: string;
  readonly task: Task;
  readonly key: CompressKey;
  /** The path of a file of the run. */
  readonly file: (name: string) => string;
  readonly threads: readonly string[];
}

const [LORA, PEFT, SMALL] = ["lora.mosara", "peft", "compressed.mosara"] as const;

const dataFlags = ({ base, task, key, threads }: RunPlace): readonly string[] => {
  const files = ["--model", base, "--data", task.trainFile, "--eval", task.lossFile];
  return [...files, "--batch-size", `${key.batchSize}`, "--seed", `${key.seed}`, ...threads];
};

/** As a PEFT directory, which is what a tenant brings. */
async function trainLora(place: RunPlace): Promise<void> {
  const { base, key, file } = place;
  await once(file("trained.json"), () => {
    const method = ["--method", "lora", "--rank", `${RANK}`, "--targets", TARGETS];
    const schedule = ["--steps", `${key.loraSteps}`, "--eval-every", `${key.loraSteps}`, "--save-every", "20"];
    return mosaraJson(["train", ...dataFlags(place), "--out", file(LORA), ...method, ...schedule, "--resume"]);
  });
  if (!existsSync(file(PEFT))) await mosaraJson(["export", file(LORA), "--model", base, "--out", file(PEFT)]);
}

async function compress(place: RunPlace): Promise<Compressed> {
  const { key, file } = place;
  const flags = [...dataFlags(place), "--out", file(SMALL), "--steps", `${key.steps}`];
  return await once(file("compressed.json"), () => mosaraJson<Compressed>(["compress", file(PEFT), ...flags]));
}

async function measure({ base, task, file, threads }: RunPlace, adapter: string): Promise<Measured> {
  const metric = ["--data", task.metricFile, "--metric", task.metric, "--max-tokens", `${task.maxTokens}`];
  const flags = ["--model", base, "--adapter", file(adapter), ...metric, ...threads];
  return await once(file(`${adapter}.score.json`), () => mosaraJson<Measured>(["eval", ...flags]));
}

const scoreOf = ({ value, interval }: Measured): CompressScore => ({ value, interval });

/** The JSON of a step, which is done only where its file is missing. */
async function once<T>(path: string, work: () => Promise<T>): Promise<T> {
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  const result = await work();
  writeFileSync(`${path}.tmp`, JSON.stringify(result));
  renameSync(`${path}.tmp`, path);
  return result;
}
