/** Lets `mosara replay` compute the answers of receipts again, with contents that are made again from their numbers. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAIN } from "../processes/child.ts";
import { endWithUs } from "../processes/end-with-us.ts";
import type { Contents } from "./contents.ts";
import { wholeLinesOf } from "./whole-lines.ts";

/** Sequences of one batch. Equal bits in any batch are the promise, so it need not be that of the answers. */
const ROWS = 64;

interface Report {
  readonly receipts: readonly {
    readonly ok: boolean;
    readonly request: string;
    readonly findings: readonly { readonly part: string; readonly ok: boolean; readonly text: string }[];
  }[];
}

interface ReplayParts {
  readonly baseDir: string;
  readonly contents: Contents;
  /** The content number of a generation. */
  readonly numberOf: (generation: string) => number | undefined;
}

export interface Replayed {
  readonly numReceipts: number;
  /** One sentence for each receipt that is not good. */
  readonly faults: readonly string[];
}

/** @param file one receipt a line */
export async function replayFile(file: string, { baseDir, contents, numberOf }: ReplayParts): Promise<Replayed> {
  const dir = mkdtempSync(join(tmpdir(), "mosara-history-"));
  try {
    const generations = new Set<string>();
    for (const line of wholeLinesOf(file)) for (const generation of generationsIn(line)) generations.add(generation);
    const adapters = [...generations].flatMap((generation) => {
      const number = numberOf(generation);
      if (number === undefined) return []; // the history has this fault already
      const path = join(dir, `${number}.mosara`);
      writeFileSync(path, contents.bytesOf(number));
      return ["--adapter", path];
    });
    const report = JSON.parse(await replay(file, "--model", baseDir, ...adapters)) as Report;
    const faults = report.receipts.flatMap(({ ok, request, findings }) =>
      ok ? [] : [`${request}: ${findings.flatMap((one) => (one.ok ? [] : `${one.part}: ${one.text}`)).join("; ")}`],
    );
    return { numReceipts: report.receipts.length, faults };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function generationsIn(receipt: string): readonly string[] {
  const { mosara_receipt: parsed } = JSON.parse(receipt) as {
    mosara_receipt: { statement: { adapter: { generation: string } | null } };
  };
  return parsed.statement.adapter === null ? [] : [parsed.statement.adapter.generation];
}

function replay(...args: string[]): Promise<string> {
  const settings = ["--json", "--kv-cache-bytes", "64M", "--max-num-seqs", String(ROWS)];
  const child = spawn(process.execPath, [MAIN, "replay", ...args, ...settings], { stdio: ["ignore", "pipe", "pipe"] });
  endWithUs(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  return new Promise((resolve, reject) => {
    child.on("close", () => (stdout === "" ? reject(new Error(`mosara replay: ${stderr.trim()}`)) : resolve(stdout)));
  });
}
