/** The files that a finished job leaves to its tenant: a table of its steps, and the report page. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobRecord } from "./records.ts";
import { REPORT_FILE, STEP_LOG } from "./train-arguments.ts";

interface ResultFile {
  readonly filename: string;
  readonly content: Uint8Array;
}

interface LogLine {
  readonly step: number;
  readonly loss?: number;
  readonly lr?: number;
  readonly tokens?: number;
  readonly evalLoss?: number;
  readonly reward?: number;
}

/** @param dir where the job's trainer worked */
export async function resultFiles(dir: string, { id }: Pick<JobRecord, "id">): Promise<readonly ResultFile[]> {
  const lines = (await readFile(join(dir, STEP_LOG), "utf8")).split("\n").filter(Boolean);
  const table = stepTable(lines.map((line) => JSON.parse(line) as LogLine));
  return [
    { filename: `${id}-steps.csv`, content: Buffer.from(table) },
    { filename: `${id}-report.html`, content: await readFile(join(dir, REPORT_FILE)) },
  ];
}

/** Comma-separated values with OpenAI's names of the columns. */
function stepTable(lines: readonly LogLine[]): string {
  const rows = new Map<number, Partial<Record<string, number>>>();
  for (const { step, loss, evalLoss, reward, lr, tokens } of lines) {
    const rewards = { [evalLoss === undefined ? "train_mean_reward" : "valid_mean_reward"]: reward };
    const scores = reward === undefined ? { train_loss: loss, valid_loss: evalLoss } : rewards;
    const given = Object.entries({ step, ...scores, learning_rate: lr, tokens });
    rows.set(step, { ...rows.get(step), ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) });
  }
  const isGraded = lines.some(({ reward }) => reward !== undefined);
  const scores = isGraded ? ["train_mean_reward", "valid_mean_reward"] : ["train_loss", "valid_loss"];
  const columns = ["step", ...scores, "learning_rate", "tokens"];
  const body = Array.from(rows.values(), (row) => columns.map((name) => row[name] ?? "").join(","));
  return `${[columns.join(","), ...body].join("\n")}\n`;
}
