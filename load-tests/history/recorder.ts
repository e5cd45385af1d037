/** Sends operations, and adds them to the history with what was found, or with their outcome. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Answer, Send, Sent } from "./connection.ts";
import type { History } from "./history.ts";
import { isWrite, type Operation, type OperationKind } from "./operation.ts";
import type { Receipts } from "./receipts.ts";

export interface RecorderParts {
  readonly send: Send;
  /** Resolves when the server is up and its engine serves. */
  readonly whenReady: () => Promise<void>;
  readonly history: History;
  readonly receipts: Receipts;
  /** Answers that were an error, by code. */
  readonly errors: Map<string, number>;
}

interface Receipt {
  readonly statement: { readonly adapter: { readonly generation: string } | null };
}

/** What an answer says about its register. */
interface Found {
  readonly outcome: Operation["outcome"];
  /** Absent: the value that was to be written. */
  readonly value?: string | null;
  readonly receipt?: object;
  /** The answer to a write that had no effect, because nothing has the name. */
  readonly kind?: OperationKind;
}

type Planned = Pick<Operation, "kind" | "register" | "value" | "content">;

/** Pause after a failure, in milliseconds. */
const PAUSE_MS = 50;

export class Recorder {
  readonly #parts: RecorderParts;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
  }

  /** @returns the outcome */
  async run(planned: Planned, path: string, sent: Sent): Promise<Operation["outcome"]> {
    const { send, whenReady, history, receipts, errors } = this.#parts;
    const start = history.tick();
    if (isWrite(planned)) history.begin({ ...planned, start });
    let found: Found = { outcome: "unknown" };
    let isFailed = true;
    try {
      const answer = await send(path, sent);
      const json = JSON.parse(answer.text) as Record<string, unknown>;
      const code = (json.error as { code?: string } | undefined)?.code;
      if (code !== undefined) count(errors, `${answer.status} ${code}`);
      isFailed = answer.status >= 500; // an engine is being started again
      if (!isFailed) found = foundIn(answer, json, planned);
    } catch {
      count(errors, "no answer");
    }
    const { receipt, ...facts } = found;
    if (receipt) receipts.add(receipt);
    history.add({ ...planned, ...facts, start, end: history.tick() });
    if (isFailed) {
      await sleep(PAUSE_MS);
      await whenReady();
    }
    return found.outcome;
  }
}

function foundIn({ status }: Answer, json: Record<string, unknown>, { kind }: Planned): Found {
  if (kind === "use-key") return { outcome: "done", value: status === 401 ? "revoked" : "active" };
  if (status === 404 && kind === "delete") return { outcome: "done", value: null, kind: "read" };
  if (status === 404 && (kind === "ask" || kind === "read")) return { outcome: "done", value: null };
  if (status >= 400) return { outcome: "refused" };
  if (kind === "read") return { outcome: "done", value: String(json.generation) };
  if (kind !== "ask") return { outcome: "done" };
  const receipt = json.mosara_receipt as Receipt;
  return { outcome: "done", value: receipt.statement.adapter?.generation ?? "the base", receipt };
}

function count(errors: Map<string, number>, code: string): void {
  errors.set(code, (errors.get(code) ?? 0) + 1);
}
