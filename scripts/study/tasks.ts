/**
 * The tasks of the study: training examples, held-out examples for the loss and prompts for the metric, cut to a size that makes a run
 * short. A task is a folder's `<name>.train.jsonl` and `<name>.eval.jsonl`, listed in its `tasks.json` with its metric; E2E comes
 * from the folder that MOSARA_DATA names.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** One task, its files written where the runs read them. */
export interface Task {
  readonly name: string;
  /** As `mosara eval` takes it. */
  readonly metric: string;
  readonly maxTokens: number;
  /** JSON Lines with prompts and completions. */
  readonly trainFile: string;
  /** Held-out examples for the loss. */
  readonly lossFile: string;
  /** Held-out prompts for the metric. */
  readonly metricFile: string;
}

/** Held-out examples of a task: enough that a loss moves by less than 0.01 of itself from sample to sample. */
const NUM_LOSS_EXAMPLES = 128;
const NUM_PROMPTS = 100;

interface TaskEntry {
  readonly name: string;
  readonly metric: string;
  readonly maxTokens: number;
}

/**
 * Reads the tasks and writes their cut files into `work`.
 * @param size most examples for the loss and for the metric; the study's own unless told
 * @throws {Error} when a file that `tasks.json` names is not there
 */
export function prepareTasks(tasksDir: string, work: string, size?: number): readonly Task[] {
  const entries = JSON.parse(readFileSync(join(tasksDir, "tasks.json"), "utf8")) as readonly TaskEntry[];
  const shipped = entries.map((entry) => prepare(entry, tasksDir, work, size, "eval"));
  const { MOSARA_DATA: dataDir } = process.env;
  if (dataDir && existsSync(join(dataDir, "e2e-train.jsonl")))
    return [prepare({ name: "e2e", metric: "bleu", maxTokens: 80 }, dataDir, work, size, "dev"), ...shipped];
  process.stderr.write("study: without E2E; MOSARA_DATA names no folder with e2e-train.jsonl and e2e-dev.jsonl\n");
  return shipped;
}

function prepare(entry: TaskEntry, dir: string, work: string, size: number | undefined, heldOut: string): Task {
  const { name } = entry;
  const separator = heldOut === "dev" ? "-" : ".";
  const fileOf = (part: string): string => join(dir, `${name}${separator}${part}.jsonl`);
  const target = join(work, "tasks");
  mkdirSync(target, { recursive: true });
  const lines = readFileSync(fileOf(heldOut), "utf8").trimEnd().split("\n");
  const write = (part: string, most: number, change: (line: string) => string): string => {
    const path = join(target, `${name}.${part}.jsonl`);
    writeFileSync(path, `${lines.slice(0, most).map(change).join("\n")}\n`);
    return path;
  };
  return {
    ...entry,
    trainFile: fileOf("train"),
    lossFile: write("loss", size ?? NUM_LOSS_EXAMPLES, withCompletion),
    metricFile: write("metric", size ?? NUM_PROMPTS, (line) => line),
  };
}

/** An example that can be trained on: the first of several references is its completion. */
function withCompletion(line: string): string {
  const example = JSON.parse(line) as { prompt?: string; references?: readonly string[]; answer?: string };
  const completion = example.references?.[0] ?? example.answer;
  return completion === undefined ? line : JSON.stringify({ prompt: example.prompt, completion });
}
