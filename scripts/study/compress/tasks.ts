/** The tasks of the study of compression: voices of the demo, E2E's texts, and the classification made from them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { familyExamples, familyQuestions } from "../family-friendly.ts";
import { type Task, type TaskSizes, prepareTasks } from "../tasks.ts";

const DEMO_TASKS = ["pirate", "terse", "json"];
/** Examples of a voice. */
const NUM_TRAINING = 480;
/** Tokens of an answer of E2E. A base that knows no end writes them all. */
const E2E_TOKENS = 60;

/** Writes the tasks' files into `work`. @param dataDir with E2E's files; null: the voices alone */
export function prepareCompressTasks(
  work: string,
  dataDir: string | null,
  counts: Pick<TaskSizes, "numLoss" | "numPrompts">,
): readonly Task[] {
  const { numLoss, numPrompts } = counts;
  const sizes = { demoTasks: DEMO_TASKS, numTraining: NUM_TRAINING, numLoss, numPrompts };
  const tasks = prepareTasks(work, sizes).map((task) =>
    task.metric === "bleu" ? { ...task, maxTokens: E2E_TOKENS } : task,
  );
  if (dataDir === null) return tasks;
  const linesOf = (name: string): readonly string[] => readFileSync(join(dataDir, name), "utf8").trimEnd().split("\n");
  const dir = join(work, "tasks");
  mkdirSync(dir, { recursive: true });
  const write = (name: string, lines: readonly string[]): string => {
    writeFileSync(join(dir, `${name}.jsonl`), `${lines.join("\n")}\n`);
    return join(dir, `${name}.jsonl`);
  };
  const questions = familyQuestions(linesOf("e2e-dev.jsonl"), numLoss + numPrompts);
  const classification: Task = {
    name: "classification",
    metric: "choice",
    maxTokens: 4,
    trainFile: write("family.train", familyExamples(linesOf("e2e-train.jsonl"))),
    lossFile: write("family.loss", questions.examples.slice(0, numLoss)),
    metricFile: write("family.metric", questions.prompts.slice(numLoss)),
  };
  return [...tasks, classification];
}
