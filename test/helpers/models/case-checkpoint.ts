/** Checkpoints of the cases in test/golden/cases: a golden model with files left out, written or edited. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TensorEdit, editSafetensors } from "./edit-safetensors.ts";
import { fixturesDir } from "../fixtures.ts";

/** A file's text, or changes of a JSON file, which is made where it is not there. */
type FileEdit = string | { readonly set?: Readonly<Record<string, unknown>>; readonly unset?: readonly string[] };

/** As `case.json` spells it (test/golden/cases/README.md). */
export interface CheckpointSpec {
  /** A folder of test/golden/models. */
  readonly from: string;
  readonly drop?: readonly string[];
  readonly files?: Readonly<Record<string, FileEdit>>;
  /** Of model.safetensors. */
  readonly tensors?: readonly TensorEdit[];
}

const scratch = mkdtempSync(join(tmpdir(), "mosara-cases-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** Writes the checkpoint into a new directory, which goes with the process. @returns the directory */
export function writeCaseCheckpoint(spec: CheckpointSpec): string {
  const source = join(fixturesDir("models"), spec.from);
  const dir = mkdtempSync(join(scratch, `${spec.from}-`));
  const drop = new Set(spec.drop);
  for (const entry of readdirSync(source, { withFileTypes: true }))
    if (entry.isFile() && !entry.name.startsWith("expected") && !drop.has(entry.name))
      cpSync(join(source, entry.name), join(dir, entry.name));
  for (const [name, edit] of Object.entries(spec.files ?? {})) writeEdit(join(dir, name), edit);
  if (spec.tensors) editSafetensors(join(dir, "model.safetensors"), spec.tensors);
  return dir;
}

function writeEdit(path: string, edit: FileEdit): void {
  mkdirSync(dirname(path), { recursive: true });
  if (typeof edit === "string") return writeFileSync(path, edit);
  const given = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>) : {};
  const removed = new Set(edit.unset);
  const kept = Object.entries({ ...given, ...edit.set }).filter(([key]) => !removed.has(key));
  writeFileSync(path, JSON.stringify(Object.fromEntries(kept), null, 1));
}
