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
  const rows = new Map<number, LogLine>();
  for (const line of lines) rows.set(line.step, { ...rows.get(line.step), ...line });
  const body = [...rows.values()].map(({ step, loss, evalLoss, lr, tokens }) =>
    [step, loss, evalLoss, lr, tokens].map((value) => value ?? "").join(","),
  );
  return `${["step,train_loss,valid_loss,learning_rate,tokens", ...body].join("\n")}\n`;
}
