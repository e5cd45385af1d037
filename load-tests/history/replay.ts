/** Lets `mosara replay` compute the answers of receipts again, with contents that are made again from their numbers. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAIN } from "../processes/child.ts";
import type { Contents } from "./contents.ts";

/** Receipts of one process. Each names an adapter of its own at most, and all of them are arguments. */
const AT_ONCE = 5000;

interface Report {
  readonly receipts: readonly {
    readonly ok: boolean;
    readonly request: string;
    readonly findings: readonly { readonly part: string; readonly ok: boolean; readonly text: string }[];
  }[];
}

/** @param numberOf the content number of a generation @returns one sentence for each receipt that is not good */
export async function replayAll(
  receipts: readonly string[],
  baseDir: string,
  contents: Contents,
  numberOf: (generation: string) => number | undefined,
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (let i = 0; i < receipts.length; i += AT_ONCE)
    faults.push(...(await replayPart(receipts.slice(i, i + AT_ONCE), baseDir, contents, numberOf)));
  return faults;
}

async function replayPart(
  receipts: readonly string[],
  baseDir: string,
  contents: Contents,
  numberOf: (generation: string) => number | undefined,
): Promise<readonly string[]> {
  const dir = mkdtempSync(join(tmpdir(), "mosara-history-"));
  try {
    const file = join(dir, "receipts.jsonl");
    writeFileSync(file, receipts.map((receipt) => `${receipt}\n`).join(""));
    const generations = new Set(receipts.flatMap((receipt) => generationIn(receipt) ?? []));
    const adapters = [...generations].flatMap((generation) => {
      const number = numberOf(generation);
      if (number === undefined) return []; // the history has this fault already
      const path = join(dir, `${number}.mosara`);
      writeFileSync(path, contents.bytesOf(number));
      return ["--adapter", path];
    });
    const report = JSON.parse(await replay(file, "--model", baseDir, ...adapters)) as Report;
    return report.receipts.flatMap(({ ok, request, findings }) =>
      ok ? [] : [`${request}: ${findings.flatMap((one) => (one.ok ? [] : `${one.part}: ${one.text}`)).join("; ")}`],
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function generationIn(receipt: string): string | undefined {
  const { mosara_receipt: parsed } = JSON.parse(receipt) as {
    mosara_receipt: { statement: { adapter: { generation: string } | null } };
  };
  return parsed.statement.adapter?.generation;
}

function replay(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [MAIN, "replay", ...args, "--json", "--kv-cache-bytes", "64M"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  return new Promise((resolve, reject) => {
    child.on("close", () => (stdout === "" ? reject(new Error(`mosara replay: ${stderr.trim()}`)) : resolve(stdout)));
  });
}
