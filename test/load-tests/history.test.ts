/** `npm run history`: the checker on made-up histories, a real run, and one with a planted fault. */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { HistoryChecker, type Violation } from "../../load-tests/history/check-history.ts";
import { History } from "../../load-tests/history/history.ts";
import type { Operation } from "../../load-tests/history/operation.ts";
import { Receipts } from "../../load-tests/history/receipts.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { tempDir } from "../helpers/server.ts";

/** Servers are started and killed on a machine that may be busy. */
vi.setConfig({ testTimeout: 600_000 });

type Outcome = Operation["outcome"];
const operation = (kind: Operation["kind"], start: number, end: number, value: string | null, outcome: Outcome) =>
  ({ kind, register: "t0/a0", start, end, value, outcome }) satisfies Operation;
const put = (start: number, end: number, value: string, outcome: Outcome = "done") =>
  operation("put", start, end, value, outcome);
const deleted = (start: number, end: number, outcome: Outcome = "done") =>
  operation("delete", start, end, null, outcome);
const ask = (start: number, end: number, value: string | null) => operation("ask", start, end, value, "done");
/** The reasons in the whole history. The check in its pieces between the pauses finds the same answers. */
function reasons(...operations: Operation[]): (string | undefined)[] {
  const isPause = (end: number): boolean => !operations.some((one) => one.start < end && end < one.end);
  const found = violationsIn(operations, () => false);
  expect(violationsIn(operations, isPause).map(({ operation }) => operation)).toEqual(
    found.map(({ operation }) => operation),
  );
  return found.map(({ reason }) => reason.split(":")[0]);
}

function violationsIn(operations: readonly Operation[], isPause: (end: number) => boolean): Violation[] {
  const checker = new HistoryChecker();
  const found = operations
    .toSorted((a, b) => a.end - b.end)
    .flatMap((one) => {
      checker.note(one);
      return isPause(one.end) ? checker.check() : [];
    });
  return [...found, ...checker.check()];
}

describe("the check of a history", () => {
  it("accepts every answer that some order explains", () => {
    expect(reasons(ask(1, 2, null), put(3, 6, "A"), ask(4, 8, null), ask(5, 7, "A"), ask(9, 10, "A"))).toEqual([]);
    // A write with an unknown end is there, or not, and a later one replaces it.
    expect(reasons(put(1, 2, "A"), put(3, 4, "B", "unknown"), ask(5, 6, "A"))).toEqual([]);
    expect(reasons(put(1, 2, "A"), put(3, 4, "B", "unknown"), ask(5, 6, "B"), put(7, 8, "C"), ask(9, 10, "C"))).toEqual(
      [],
    );
    // A value that comes back.
    expect(
      reasons(put(1, 2, "A"), put(3, 4, "B"), put(5, 6, "A"), ask(7, 8, "A"), deleted(9, 10), ask(11, 12, null)),
    ).toEqual([]);
    expect(reasons(put(1, 2, "A"), put(3, 4, "B", "refused"), ask(5, 6, "A"))).toEqual([]);
    // An alias of two generations.
    expect(reasons(put(1, 2, "A|B"), ask(3, 4, "A"), ask(5, 6, "B"), put(7, 8, "B|C"), ask(9, 10, "C"))).toEqual([]);
  });

  it("finds answers of others, stale ones, and lost writes", () => {
    const [foreign, stale, lost] = [
      "the answer belongs to another name or tenant",
      "the answer is older than its start allows",
      "an acknowledged write is lost",
    ];
    expect(reasons(put(1, 2, "A"), ask(3, 4, "X"))).toEqual([foreign]);
    expect(reasons(put(1, 2, "A"), put(3, 4, "B", "refused"), ask(5, 6, "B"))).toEqual([foreign]);
    expect(reasons(put(1, 2, "A"), put(3, 4, "B"), ask(5, 6, "A"))).toEqual([stale]);
    expect(reasons(put(1, 2, "A"), deleted(3, 4), ask(5, 6, "A"))).toEqual([stale]);
    // Once an answer has shown a write with an unknown end, no later one may be older.
    expect(reasons(put(1, 2, "A"), put(3, 10, "B", "unknown"), ask(4, 5, "B"), ask(6, 7, "A"))).toEqual([stale]);
    expect(reasons(put(1, 2, "A"), ask(3, 4, null))).toEqual([lost]);
    expect(reasons(put(1, 2, "A|B"), put(3, 4, "B|C"), ask(5, 6, "A"))).toEqual([stale]);
    // It was asked and answered before the write began.
    expect(reasons(put(1, 2, "A"), ask(3, 4, "B"), put(5, 6, "B"))).toEqual([stale]);
  });
});

it("the history of a run that was killed has the writes that had been sent, with an unknown end", () => {
  const dir = tempDir();
  const open = () => {
    const operations: Operation[] = [];
    return { history: new History(dir, [{ note: (one) => operations.push(one) }]), operations };
  };
  const { history: killed } = open();
  const totals = { disturbed: { server: 3 }, errors: {}, replayed: 7, minutes: 1 };
  killed.add(put(killed.tick(), killed.tick(), "A"));
  killed.save(totals);
  killed.begin({ kind: "put", register: "t0/a0", value: "B", content: 2, start: killed.tick() });
  // It was killed while it saved.
  appendFileSync(join(dir, "history.jsonl"), `${JSON.stringify(put(3, 4, "B"))}\n{"kind":"p`);
  const { history, operations } = open();
  expect(operations.map(({ value, outcome }) => [value, outcome])).toEqual([
    ["A", "done"],
    ["B", "unknown"],
  ]);
  expect([history.totals, history.numOperations, history.count("put")]).toEqual([totals, 2, { all: 2, done: 1 }]);
  expect(open().operations).toEqual(operations);
});

it("receipts are kept until they have been replayed, without the half of one that a killed run left", () => {
  const dir = tempDir();
  const first = new Receipts(dir, 2);
  for (const number of [1, 2, 3]) {
    first.add({ number });
    first.save();
  }
  const full = first.oldestFull() ?? "";
  expect(readFileSync(full, "utf8")).toBe('{"mosara_receipt":{"number":1}}\n{"mosara_receipt":{"number":2}}\n');
  first.markReplayed(full);
  first.removeReplayed();
  expect([existsSync(full), first.oldestFull()]).toEqual([false, undefined]);
  const rest = join(first.dir, readdirSync(first.dir)[0] ?? "");
  appendFileSync(rest, '{"mosara_rec');
  const second = new Receipts(dir, 2);
  second.close();
  expect(second.oldestFull()).toBe(rest);
  expect(readFileSync(rest, "utf8")).toBe('{"mosara_receipt":{"number":3}}\n');
});

async function history(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const size = ["--tenants", "5", "--adapters", "20", "--clients", "6", "--work", tempDir()];
  const main = join(packageRoot(), "dist", "load-tests", "history.js");
  const child = spawn(process.execPath, [main, ...size, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr };
}

describe("npm run history", () => {
  it("finds no fault while the server and its engine are killed, keys change and the disk is full or read-only", async () => {
    const { code, stdout, stderr } = await history("--round", "36", "--requests", "180", "--disk", "8");
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/^faults +0$/m), expect.anything()]);
    for (const disturbance of ["server", "key", "disk-full", "engine", "read-only"])
      expect(stdout).toMatch(new RegExp(`^${disturbance} +[1-9]`, "m"));
    expect(Number(/^answers replayed +(\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(40);
  });

  it("finds a planted fault: answers of another name", async () => {
    const { code, stdout } = await history("--round", "60", "--requests", "180", "--disk", "0", "--plant", "wrong-row");
    expect([code, stdout]).toEqual([1, expect.stringContaining("belongs to another name")]);
  });
});
