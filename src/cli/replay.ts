/** `mosara replay`: checks receipts of answers, and computes the answers again on this machine. */
import { readFile } from "node:fs/promises";
import type { ConfigOf } from "../config/commands.ts";
import { AppError } from "../errors.ts";
import { type AnyReceipt, readReceipts } from "../receipt/read-receipt.ts";
import { readPublicKey } from "../receipt/receipt-key.ts";
import { type Finding, verifyReceipt } from "../receipt/verify-receipt.ts";
import { openReplayer, type Replayer } from "./replay/replayer.ts";
import { Cleanup } from "./shared/cleanup.ts";

type ReplayConfig = ConfigOf<"replay">;

interface Report {
  readonly receipt: AnyReceipt;
  readonly findings: readonly Finding[];
}

/** @returns the exit code: 0 where every check is good. @throws {AppError} */
export async function replay(config: ReplayConfig): Promise<number> {
  const [path = ""] = config.positionals; // the table requires one
  const receipts = readReceipts(await readText(path), path);
  const trusted = config.publicKey === null ? null : readPublicKey(await keyText(config.publicKey));
  await using cleanup = new Cleanup();
  const replayer = config.verifyOnly ? null : await openReplayer(config, receipts, cleanup);
  const reports = await reportsOf(receipts, config.maxNumSeqs, (receipt) => findingsOf(receipt, trusted, replayer));
  process.stdout.write(config.json ? `${JSON.stringify(asJson(reports))}\n` : reports.map(asLines).join("\n"));
  return reports.every(isGood) ? 0 : 1;
}

/**
 * In the order of the receipts.
 * @param atOnce number of receipts that are computed at a time, in one batch of the model
 */
async function reportsOf(
  receipts: readonly AnyReceipt[],
  atOnce: number,
  findings: (receipt: AnyReceipt) => Promise<readonly Finding[]>,
): Promise<readonly Report[]> {
  const reports: Report[] = [];
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < receipts.length; i = next++) {
      const receipt = receipts[i]!; // i is below the length
      reports[i] = { receipt, findings: await findings(receipt) };
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return reports;
}

/** A receipt that was altered is not computed again. */
async function findingsOf(
  receipt: AnyReceipt,
  trusted: string | null,
  replayer: Replayer | null,
): Promise<readonly Finding[]> {
  const checked = verifyReceipt(receipt, trusted);
  if (replayer === null || checked.some((one) => !one.isGood)) return checked;
  return [...checked, ...(await replayer.replay(receipt))];
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new AppError("usage", `${path} cannot be read: ${(error as Error).message}. Name the file of a receipt.`);
  }
}

/** The flag's value itself, or the file that it names. */
async function keyText(given: string): Promise<string> {
  return /^[\w-]{43}$/.test(given) ? given : await readText(given);
}

function isGood({ findings }: Report): boolean {
  return findings.every((one) => one.isGood);
}

function asLines({ receipt, findings }: Report): string {
  const width = Math.max(...findings.map(({ part }) => part.length));
  const lines = findings.map((one) => `${one.isGood ? "ok  " : "FAIL"} ${one.part.padEnd(width)}  ${one.text}\n`);
  return `request ${receipt.statement.request}\n${lines.join("")}`;
}

function asJson(reports: readonly Report[]): object {
  return {
    ok: reports.every(isGood),
    receipts: reports.map((report) => ({
      ok: isGood(report),
      request: report.receipt.statement.request,
      findings: report.findings.map((one) => ({ part: one.part, ok: one.isGood, text: one.text })),
    })),
  };
}
