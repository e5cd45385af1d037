/**
 * Checks a history: every answer must have a value that its register had between request and answer. Writes of a
 * register never overlap, so their order is known. A write with an unknown end may have taken effect, until a later
 * write or answer shows the opposite. Knows nothing of servers.
 */
import { isWrite, type Operation, VALUES } from "./operation.ts";

export interface Violation {
  readonly operation: Operation;
  readonly reason: string;
}

/** @returns the answers that no order of the operations explains */
export function checkHistory(operations: readonly Operation[]): readonly Violation[] {
  const registers = new Map<string, Operation[]>();
  for (const operation of operations) {
    const own = registers.get(operation.register);
    if (own) own.push(operation);
    else registers.set(operation.register, [operation]);
  }
  return [...registers.values()].flatMap(checkRegister);
}

interface Moment {
  readonly at: number;
  readonly operation: Operation;
  readonly isEnd: boolean;
}

function checkRegister(operations: readonly Operation[]): Violation[] {
  const writes = operations
    .filter((one) => isWrite(one) && one.outcome !== "refused")
    .sort((a, b) => a.start - b.start);
  const numberOf = new Map(writes.map((write, i) => [write, i]));
  const moments = operations
    .flatMap((operation): Moment[] => [
      { at: operation.start, operation, isEnd: false },
      { at: operation.end, operation, isEnd: true },
    ])
    .sort((a, b) => a.at - b.at);
  const violations: Violation[] = [];
  /** The latest write that is known to have had its effect; −1: the register is as it was at the beginning. */
  let known = -1;
  const knownAtStart = new Map<Operation, number>();
  for (const { operation, isEnd } of moments) {
    if (!isEnd) knownAtStart.set(operation, known);
    else if (operation.outcome !== "done") continue;
    else if (isWrite(operation)) known = Math.max(known, numberOf.get(operation) ?? -1);
    else {
      const found = explain(operation, writes, knownAtStart.get(operation) ?? -1);
      if (typeof found === "number") known = Math.max(known, found);
      else violations.push({ operation, reason: found });
    }
  }
  return violations;
}

/** An alias has several values, of which one answers. */
function hasWritten({ value }: Operation, answer: Operation): boolean {
  if (value === null || answer.value === null) return value === answer.value;
  return value.split(VALUES).includes(answer.value);
}

/** @returns the first write that explains the answer, −1 for the beginning, or the reason why none does */
function explain(answer: Operation, writes: readonly Operation[], from: number): number | string {
  if (from < 0 && answer.value === null) return -1;
  for (let i = Math.max(0, from); i < writes.length; i++) {
    const write = writes[i];
    if (write === undefined || write.start > answer.end) break;
    if (hasWritten(write, answer)) return i;
  }
  const expected = writes[from]?.value ?? null;
  const shown = `found ${answer.value ?? "nothing"}, the last known is ${expected ?? "nothing"}`;
  if (answer.value === null) return `an acknowledged write is lost: ${shown}`;
  if (!writes.some((write) => hasWritten(write, answer)))
    return `the answer belongs to another name or tenant: ${shown}`;
  return `the answer is older than its start allows: ${shown}`;
}
