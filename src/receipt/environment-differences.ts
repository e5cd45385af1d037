/** The differences between the server of a receipt and the one that replays it. Each may change bits, but need not. */
import type { Environment } from "./receipt-issuer.ts";
import type { Statement } from "./receipt.ts";

/** One difference, in words. */
export interface Difference {
  readonly part: "base" | "program" | "machine";
  readonly text: string;
}

/** The differences that make a replay pointless: another model gives another answer. */
export function baseDifferences(statement: Statement, base: Environment["base"]): readonly Difference[] {
  const theirs = statement.base;
  if (theirs.id !== base.id) return [other("base", "the base", theirs.id, base.id)];
  return [
    ...(theirs.weights === base.weights ? [] : [other("base", "the weights", theirs.weights, base.weights)]),
    ...(theirs.weights === base.weights && theirs.form !== base.form
      ? [other("base", "the stored form of the weights", theirs.form, base.form)]
      : []),
    ...(theirs.bases === base.bases ? [] : [other("base", "the adapter bases", theirs.bases, base.bases)]),
  ];
}

/**
 * The difference between draft models, which makes a replay pointless too: the answer would be divided into other runs.
 * @param here null: there is none
 */
export function draftDifferences({ sampling }: Statement, here: Environment["draftModel"]): readonly Difference[] {
  const theirs = sampling.draft_model ?? null;
  if (
    theirs === null ||
    (here !== null && (["id", "weights", "form"] as const).every((key) => theirs[key] === here[key]))
  )
    return [];
  const there = `${theirs.id} (${theirs.weights})`;
  const text = here === null ? "is none here. Name it as --draft-model" : `is ${here.id} (${here.weights}) here`;
  return [{ part: "base", text: `the draft model was ${there} there, and ${text}` }];
}

/** Differences between programs and machines. */
export function hostDifferences(
  { program, machine }: Statement,
  here: Pick<Environment, "program" | "machine">,
): readonly Difference[] {
  const names = { mosara: "mosara", build: "the build of mosara", onnxruntime: "ONNX Runtime", node: "Node.js" };
  const programs = (Object.keys(names) as (keyof typeof names)[]).filter((key) => program[key] !== here.program[key]);
  const [lost, gained] = [
    missing(machine.features, here.machine.features),
    missing(here.machine.features, machine.features),
  ];
  const parts = [
    ...(lost.length > 0 ? [`without ${lost.join(", ")}`] : []),
    ...(gained.length > 0 ? [`with ${gained.join(", ")} in addition`] : []),
  ];
  return [
    ...programs.map((key) => other("program", names[key], program[key], here.program[key])),
    ...(["arch", "device", "threads"] as const)
      .filter((key) => machine[key] !== here.machine[key])
      .map((key) =>
        other("machine", key === "arch" ? "the architecture" : `the ${key}`, machine[key], here.machine[key]),
      ),
    ...(parts.length > 0 ? [{ part: "machine" as const, text: `this CPU is ${parts.join(" and ")}` }] : []),
    ...(machine.batch_invariant
      ? []
      : [{ part: "machine" as const, text: "that server's bits depended on the batch (batch_invariant is false)" }]),
  ];
}

function other(part: Difference["part"], what: string, there: string | number, here: string | number): Difference {
  return { part, text: `${what} was ${there} there, and is ${here} here` };
}

function missing(wanted: readonly string[], there: readonly string[]): string[] {
  return wanted.filter((one) => !there.includes(one));
}
