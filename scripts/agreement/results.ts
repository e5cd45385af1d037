/** The results of finished parts, in a JSON file. A run that was stopped continues after them. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

export class Results {
  readonly #path: string;
  readonly #parts: Record<string, unknown>;

  constructor(path: string) {
    this.#path = path;
    this.#parts = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>) : {};
  }

  /**
   * The stored result of a part, or the one that `measure` gives. null is not stored, so that the part is tried again.
   * @param inputs the part is measured again where these have changed
   */
  async of<T>(name: string, inputs: unknown, measure: () => Promise<T | null>): Promise<T | null> {
    const key = `${name} ${createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 12)}`;
    if (key in this.#parts) return this.#parts[key] as T;
    process.stderr.write(`${name} …\n`);
    const result = await measure();
    if (result === null) return null;
    this.#parts[key] = result;
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(this.#parts, null, 2)}\n`);
    renameSync(`${this.#path}.new`, this.#path);
    return result;
  }
}
