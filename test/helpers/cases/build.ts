/** `mosara build` of a checkpoint: the same base as another's, a refusal, or a warning. */
import { join } from "node:path";
import { expect } from "vitest";
import { type CheckpointSpec, writeCaseCheckpoint } from "../models/case-checkpoint.ts";
import { mosara, tempDir } from "../server.ts";

interface BuildCase {
  readonly checkpoint: CheckpointSpec;
  readonly right: {
    readonly sameAs?: string;
    readonly refused?: readonly string[];
    readonly warns?: readonly string[];
  };
}

export async function check(value: unknown): Promise<void> {
  const { checkpoint, right } = value as BuildCase;
  const { code, stdout, stderr } = await build(checkpoint);
  for (const words of [...(right.refused ?? []), ...(right.warns ?? [])]) expect(stderr).toContain(words);
  expect(code, stderr).toBe(right.refused === undefined ? 0 : 1);
  if (right.sameAs === undefined) return;
  expect(baseId(stdout)).toBe(await baseIdOf(right.sameAs));
}

const baseId = (json: string): string => (JSON.parse(json) as { baseId: string }).baseId;

/** Base ids of checkpoints that several cases compare with. */
const known = new Map<string, Promise<string>>();

function baseIdOf(from: string): Promise<string> {
  const id = known.get(from) ?? build({ from }).then(({ stdout }) => baseId(stdout));
  known.set(from, id);
  return id;
}

function build(spec: CheckpointSpec): ReturnType<typeof mosara> {
  const out = join(tempDir(), "base");
  return mosara(
    "build",
    writeCaseCheckpoint(spec),
    "--out",
    out,
    "--targets",
    "none",
    "--weights",
    "float32",
    "--json",
  );
}
