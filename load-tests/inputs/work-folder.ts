/**
 * Checkpoints and bases of the load tests, kept outside of the repository between runs. A base is built again when the
 * compiled code that makes bases has changed. Its singular vectors, which take most of the time, are then copied from
 * the old base.
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildCost, BuildJob } from "../processes/build-worker.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";

/** Which base is wanted. */
export interface BaseChoice {
  readonly weights: WeightChoice;
  readonly targets: "none" | "default" | "all-linear" | readonly string[];
}

/** The bases whose singular vectors the others take over, by targets. */
const WITH_BASES: BaseChoice = { weights: { kind: "int8", blockSize: null }, targets: "default" };
const WITH_ALL_BASES: BaseChoice = { ...WITH_BASES, targets: "all-linear" };

/** Folders of src whose code decides what a base looks like. */
const BUILDERS = ["adapter", "base", "formats", "graph", "linalg", "model", "tensor"];

export class WorkFolder {
  readonly #options: BenchOptions;
  readonly #note: (text: string) => void;
  readonly #fresh = new Set<string>();
  #buildSeconds = 0;

  constructor(options: BenchOptions, note: (text: string) => void) {
    this.#options = options;
    this.#note = note;
  }

  async checkpoint(): Promise<string> {
    const startedAt = performance.now();
    await mkdir(this.#options.workDir, { recursive: true });
    const dir = await randomCheckpoint(this.#options.workDir, this.#options.shape);
    this.countBuild((performance.now() - startedAt) / 1000);
    return dir;
  }

  /** Counts as building what was made elsewhere. */
  countBuild(seconds: number): void {
    this.#buildSeconds += seconds;
  }

  /** Seconds that making checkpoints and bases has taken since this was asked last: no part of a measurement. */
  takeBuildSeconds(): number {
    const seconds = this.#buildSeconds;
    this.#buildSeconds = 0;
    return seconds;
  }

  /** A base directory, built where it is not there yet or not of today's code. */
  async base(choice: BaseChoice): Promise<string> {
    const dir = this.#directoryOf(await this.checkpoint(), choice);
    const isCurrent = existsSync(dir) && (await codeOf(dir)) === hashOfCode(BUILDERS);
    if (isCurrent && (!this.#options.isFresh || this.#fresh.has(dir))) return dir;
    const basisFrom = await this.#knownBases(choice);
    try {
      await this.#build(choice, basisFrom);
    } catch (error) {
      if (basisFrom === null) throw error;
      this.#note(`the bases of ${basisFrom} cannot be taken over (see above), they are computed anew`);
      await this.#build(choice, null);
    }
    return dir;
  }

  /**
   * A directory that `make` has filled, in this run or an earlier one with the same code.
   * @param name tells it from all others @param folders of src whose code decides what it looks like
   */
  async made(name: string, folders: readonly string[], make: (dir: string) => Promise<void>): Promise<string> {
    const dir = join(this.#options.workDir, name);
    if (existsSync(dir) && (await codeOf(dir)) === hashOfCode(folders) && !this.#options.isFresh) return dir;
    const startedAt = performance.now();
    await rm(dir, { recursive: true, force: true });
    await rm(`${dir}.code`, { force: true });
    await make(dir);
    await writeFile(`${dir}.code`, hashOfCode(folders));
    this.countBuild((performance.now() - startedAt) / 1000);
    return dir;
  }

  /** Builds a base with bases of its own, whatever is there, and tells what it took. */
  async measuredBuild(choice: BaseChoice): Promise<BuildCost> {
    return await this.#build(choice, null);
  }

  /** A base of the same checkpoint and threshold that has all the singular vectors. */
  async #knownBases(choice: BaseChoice): Promise<string | null> {
    if (choice.targets === "none") return null;
    const source = choice.targets === "all-linear" ? WITH_ALL_BASES : WITH_BASES;
    const dir = this.#directoryOf(await this.checkpoint(), source);
    if (dir !== this.#directoryOf(await this.checkpoint(), choice)) return await this.base(source);
    return existsSync(dir) && !this.#options.isFresh ? dir : null;
  }

  async #build(choice: BaseChoice, basisFrom: string | null): Promise<BuildCost> {
    const { threshold, numThreads } = this.#options;
    const { weights, targets } = choice;
    const checkpointDir = await this.checkpoint();
    const outDir = this.#directoryOf(checkpointDir, choice);
    this.#note(`building ${describe(choice)}`);
    const startedAt = performance.now();
    const cost = await runBuild({
      checkpointDir,
      outDir,
      options: {
        weights: weights.kind,
        blockSize: weights.blockSize,
        targets: targets === "default" ? null : targets,
        threshold,
        maxRank: null,
        basisFrom,
        isSlim: false,
        numThreads,
      },
    });
    await writeFile(`${outDir}.code`, hashOfCode(BUILDERS));
    this.#fresh.add(outDir);
    this.countBuild((performance.now() - startedAt) / 1000);
    return cost;
  }

  #directoryOf(checkpoint: string, { weights, targets }: BaseChoice): string {
    const { threshold, workDir } = this.#options;
    const names = typeof targets === "string" ? targets : targets.join("+");
    const parts = [basename(checkpoint).replace("checkpoint-", ""), weights.kind, weights.blockSize ?? "", names];
    return join(
      workDir,
      ["base", ...parts, targets === "none" ? "" : threshold].filter((part) => part !== "").join("-"),
    );
  }

  /** A directory of its own that is gone after `use`. */
  async withScratch<T>(use: (dir: string) => Promise<T>): Promise<T> {
    const dir = join(this.#options.workDir, `scratch-${process.pid}`);
    await mkdir(dir, { recursive: true });
    try {
      return await use(dir);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
}

/** A base in words. */
function describe({ weights, targets }: BaseChoice): string {
  const words = { none: "bare", default: "default targets", "all-linear": "all linear layers" };
  return `${weightName(weights)}, ${typeof targets === "string" ? words[targets] : targets.join(", ")}`;
}

/** A format in words. */
export function weightName({ kind, blockSize }: WeightChoice): string {
  return blockSize === null ? kind : `${kind} (block ${blockSize})`;
}

async function codeOf(dir: string): Promise<string> {
  return await readFile(`${dir}.code`, "utf8").catch(() => "");
}

/** A hash of the compiled code in these folders of src. */
function hashOfCode(folders: readonly string[]): string {
  const hash = createHash("sha256");
  for (const folder of folders) {
    const dir = fileURLToPath(new URL(`../../src/${folder}`, import.meta.url));
    for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" }).sort())
      if (/\.[jt]s$/.test(name)) hash.update(name).update(readFileSync(join(dir, name)));
  }
  return hash.digest("hex");
}

async function runBuild(job: BuildJob): Promise<BuildCost> {
  const worker = fileURLToPath(new URL("../processes/build-worker.js", import.meta.url));
  // as `mosara build` runs, whatever this process was given
  const child = fork(worker, [JSON.stringify(job)], { execArgv: [] });
  return await new Promise<BuildCost>((resolve, reject) => {
    let cost: BuildCost | null = null;
    child.on("message", (message) => (cost = message as BuildCost));
    child.on("error", reject);
    child.on("close", (status) =>
      cost ? resolve(cost) : reject(new Error(`The build of ${job.outDir} ended with code ${status}.`)),
    );
  });
}
