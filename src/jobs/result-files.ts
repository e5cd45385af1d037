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
  return [
    { filename: `${id}-steps.csv`, content: Buffer.from(stepTable(await rowsOf(dir))) },
    { filename: `${id}-report.html`, content: await readFile(join(dir, REPORT_FILE)) },
  ];
}

/** Losses or rewards of any step, under OpenAI's names. The log is read once. */
export async function stepScores(dir: string): Promise<(step: number) => Readonly<Record<string, number>>> {
  const rows = await rowsOf(dir);
  return (step) => {
    const row = rows.get(step) ?? {};
    return Object.fromEntries(SCORES.flatMap((name) => (row[name] === undefined ? [] : [[name, row[name]]])));
  };
}

const LOSSES = ["train_loss", "valid_loss"];
const REWARDS = ["train_mean_reward", "valid_mean_reward"];
const SCORES = [...LOSSES, ...REWARDS];

/** Figures of a step, under OpenAI's names. */
type Row = Partial<Record<string, number>>;

/** By step. */
async function rowsOf(dir: string): Promise<ReadonlyMap<number, Row>> {
  const lines = (await readFile(join(dir, STEP_LOG), "utf8")).split("\n").filter(Boolean);
  const rows = new Map<number, Row>();
  for (const { step, loss, evalLoss, reward, lr, tokens } of lines.map((line) => JSON.parse(line) as LogLine)) {
    const rewards = { [evalLoss === undefined ? "train_mean_reward" : "valid_mean_reward"]: reward };
    const scores = reward === undefined ? { train_loss: loss, valid_loss: evalLoss } : rewards;
    const given = Object.entries({ step, ...scores, learning_rate: lr, tokens });
    rows.set(step, { ...rows.get(step), ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) });
  }
  return rows;
}

/** Comma-separated values with OpenAI's names of the columns. */
function stepTable(rows: ReadonlyMap<number, Row>): string {
  const isGraded = [...rows.values()].some((row) => REWARDS.some((name) => name in row));
  const columns = ["step", ...(isGraded ? REWARDS : LOSSES), "learning_rate", "tokens"];
  const body = Array.from(rows.values(), (row) => columns.map((name) => row[name] ?? "").join(","));
  return `${[columns.join(","), ...body].join("\n")}\n`;
}
