/**
 * Checks a history: every answer must have a value that its register had between request and answer. Writes of a
 * register never overlap, so their order is known. A write with an unknown end may have taken effect, until a later
 * write or answer shows the opposite. Knows nothing of servers.
 *
 * The check follows the history in pieces. Of the operations before a pause, it keeps only the writes that may still
 * explain an answer.
 */
import { isWrite, type Operation, VALUES } from "./operation.ts";

export interface Violation {
  readonly operation: Operation;
  readonly reason: string;
}

export class HistoryChecker {
  readonly #registers = new Map<string, Register>();
  /** Those with operations that have not been checked yet. */
  readonly #changed = new Set<Register>();

  note(operation: Operation): void {
    const register = this.#registers.get(operation.register) ?? new Register();
    this.#registers.set(operation.register, register);
    register.add(operation);
    this.#changed.add(register);
  }

  /**
   * Checks what is new. Called in a pause: no operation has begun that is not noted.
   * @returns the answers that no order of the operations explains
   */
  check(): readonly Violation[] {
    const violations = [...this.#changed].flatMap((register) => register.check());
    this.#changed.clear();
    return violations;
  }
}

interface Moment {
  readonly at: number;
  readonly operation: Operation;
  readonly isEnd: boolean;
}

class Register {
  #added: Operation[] = [];
  /** Writes that may explain an answer to come, in their order. */
  #writes: readonly Operation[] = [];
  /** Whether the first of these writes is known to have had its effect. Otherwise the register may be untouched. */
  #isFirstKnown = false;
  /** Every value that was ever written, for the reason of a violation. */
  readonly #values = new Set<string | null>();

  add(operation: Operation): void {
    this.#added.push(operation);
  }

  check(): Violation[] {
    const added = this.#added.filter((one) => isWrite(one) && one.outcome !== "refused");
    const writes = [...this.#writes, ...added.sort((a, b) => a.start - b.start)];
    for (const { value } of added) for (const one of valuesOf(value)) this.#values.add(one);
    const numberOf = new Map(writes.map((write, i) => [write, i]));
    const violations: Violation[] = [];
    /** The latest write that is known to have had its effect; −1: the register is as it was at the beginning. */
    let known = this.#isFirstKnown ? 0 : -1;
    const knownAtStart = new Map<Operation, number>();
    for (const { operation, isEnd } of momentsOf(this.#added)) {
      if (!isEnd) knownAtStart.set(operation, known);
      else if (operation.outcome !== "done") continue;
      else if (isWrite(operation)) known = Math.max(known, numberOf.get(operation) ?? -1);
      else {
        const from = knownAtStart.get(operation) ?? -1;
        const found = explain(operation, writes, from);
        if (found !== null) known = Math.max(known, found);
        else violations.push({ operation, reason: this.#reasonFor(operation, writes[from]?.value ?? null) });
      }
    }
    this.#writes = writes.slice(Math.max(0, known));
    this.#isFirstKnown = known >= 0;
    this.#added = [];
    return violations;
  }

  /** @param expected the last known value */
  #reasonFor({ value }: Operation, expected: string | null): string {
    const shown = `found ${value ?? "nothing"}, the last known is ${expected ?? "nothing"}`;
    if (value === null) return `an acknowledged write is lost: ${shown}`;
    if (!this.#values.has(value)) return `the answer belongs to another name or tenant: ${shown}`;
    return `the answer is older than its start allows: ${shown}`;
  }
}

function momentsOf(operations: readonly Operation[]): readonly Moment[] {
  return operations
    .flatMap((operation): Moment[] => [
      { at: operation.start, operation, isEnd: false },
      { at: operation.end, operation, isEnd: true },
    ])
    .sort((a, b) => a.at - b.at);
}

/** An alias has several values, of which one answers. */
function valuesOf(value: string | null): readonly (string | null)[] {
  return value === null ? [null] : value.split(VALUES);
}

/** @returns the first write that explains the answer, −1 for the beginning, or null where none does */
function explain(answer: Operation, writes: readonly Operation[], from: number): number | null {
  if (from < 0 && answer.value === null) return -1;
  for (let i = Math.max(0, from); i < writes.length; i++) {
    const write = writes[i];
    if (write === undefined || write.start > answer.end) break;
    if (valuesOf(write.value).includes(answer.value)) return i;
  }
  return null;
}
