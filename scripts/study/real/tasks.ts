/**
 * The tasks of the study on real models, from the files in the folder that MOSARA_DATA names. The paper groups its data
 * sets: one adapter learns a group, and is measured on each of its sets. Every line is a conversation, as a chat model
 * is used.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nextUniform, seedRandom } from "../../../src/tensor/random.ts";
import type { Measure } from "../runs.ts";

/** A group of sets: what an adapter learns, and on which sets it is measured. */
export interface RealTask {
  readonly name: string;
  /** JSON lines with examples. */
  readonly trainFile: string;
  /** Held-out examples for the loss. */
  readonly lossFile: string;
  readonly sets: readonly (Measure & { readonly name: string })[];
}

/** How much is held out. */
export interface RealSizes {
  /** Examples of the loss. */
  readonly numLoss: number;
  /** Places that E2E's texts are written for. */
  readonly numPlaces: number;
  /** Questions of each set of the two other groups. */
  readonly numQuestions: number;
}

/** A line of the data: a question with an answer, references, or a completion to learn. */
interface Item {
  readonly prompt: string;
  readonly completion?: string;
  readonly references?: readonly string[];
  readonly answer?: string;
  readonly kind?: string;
}

/** Longer questions are left out: they cost most of the time and ask nothing else. */
const MAX_QUESTION_CHARACTERS = 240;
const SHUFFLE_SEED = 1;

/** Writes the tasks' files into `work`. @param dataDir with the data sets, as JSON lines */
export function prepareRealTasks(work: string, dataDir: string, sizes: RealSizes): readonly RealTask[] {
  const dir = join(work, "tasks");
  mkdirSync(dir, { recursive: true });
  const files: Files = {
    read: (name) =>
      readFileSync(join(dataDir, `${name}.jsonl`), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Item),
    write: (name, lines) => {
      const path = join(dir, `${name}.jsonl`);
      writeFileSync(path, `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
      return path;
    },
  };
  return [e2e(files, sizes), commonsense(files, sizes), math(files, sizes)];
}

interface Files {
  readonly read: (name: string) => readonly Item[];
  /** @returns the file's path */
  readonly write: (name: string, lines: readonly object[]) => string;
}

function e2e({ read, write }: Files, { numLoss, numPlaces }: RealSizes): RealTask {
  const heldOut = read("e2e-dev");
  return {
    name: "E2E",
    trainFile: write("e2e.train", read("e2e-train").map(example)),
    lossFile: write("e2e.loss", heldOut.slice(0, numLoss).map(example)),
    sets: [
      {
        name: "E2E",
        metric: "bleu",
        maxTokens: 60,
        metricFile: write("e2e.metric", heldOut.slice(0, numPlaces).map(question)),
      },
    ],
  };
}

/**
 * The folder has no training files of these sets. Questions that are not measured are learnt, with those of two sets
 * that have the same form.
 */
function commonsense({ read, write }: Files, { numLoss, numQuestions }: RealSizes): RealTask {
  const measured = ["boolq", "ARC-Easy"].map((name) => ({ name, items: short(read(`${name}-dev`)) }));
  const others = ["ARC-Challenge", "openbookqa"].flatMap((name) => short(read(`${name}-dev`)));
  const learnt = [...measured.flatMap(({ items }) => items.slice(numQuestions)), ...others];
  const heldOut = measured.flatMap(({ items }) => items.slice(0, Math.floor(numLoss / measured.length)));
  return {
    name: "commonsense",
    trainFile: write("commonsense.train", shuffled(learnt).map(example)),
    lossFile: write("commonsense.loss", heldOut.map(example)),
    sets: measured.map(({ name, items }) => ({
      name,
      metric: "choice",
      maxTokens: 5,
      metricFile: write(`${name}.metric`, items.slice(0, numQuestions).map(question)),
    })),
  };
}

/** No question of the learnt set is in any measured one (the data's README). */
function math({ read, write }: Files, { numLoss, numQuestions }: RealSizes): RealTask {
  const items = shuffled(read("mawps-train"));
  return {
    name: "math",
    trainFile: write("math.train", items.slice(numLoss).map(example)),
    lossFile: write("math.loss", items.slice(0, numLoss).map(example)),
    sets: ["AddSub", "MultiArith"].map((name) => ({
      name,
      metric: "number",
      maxTokens: 30,
      metricFile: write(`${name}.metric`, read(`${name}-dev`).slice(0, numQuestions).map(question)),
    })),
  };
}

const user = (content: string) => ({ role: "user", content });

/** Something to learn: the completion, the first reference or the answer. */
function example({ prompt, completion, references, answer }: Item): object {
  const content = completion ?? references?.[0] ?? answer;
  return { messages: [user(prompt), { role: "assistant", content }] };
}

/** Something to be asked. */
function question({ prompt, references, answer, kind }: Item): object {
  return { messages: [user(prompt)], ...(references ? { references } : { answer, kind }) };
}

const short = (items: readonly Item[]): readonly Item[] =>
  items.filter(({ prompt }) => prompt.length <= MAX_QUESTION_CHARACTERS);

function shuffled<T>(items: readonly T[]): readonly T[] {
  const state = seedRandom(SHUFFLE_SEED);
  const keyed = items.map((item) => ({ item, key: nextUniform(state) }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}
