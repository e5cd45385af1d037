/** Adapters for tests: small made-up ones, and those of the training fixtures. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Adapter, Method, RouterKind } from "../../../src/adapter/adapter.ts";
import { expectedTensors } from "../../../src/adapter/methods.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { type HostTensor, numElements } from "../../../src/tensor/host-tensor.ts";
import { casesIn, fixturesDir, readJson } from "../fixtures.ts";

/** A made-up id that depends on `text` alone. */
export const idOf = (text: string): string => createHash("sha256").update(text).digest("hex");

interface AdapterOptions {
  readonly method?: Method;
  readonly heads?: number;
  readonly router?: RouterKind;
  readonly k?: number;
  readonly dIn?: number;
  readonly dOut?: number;
  readonly targetNames?: readonly string[];
  /** Differs in every number, so in its generation. */
  readonly seed?: number;
}

/** A valid adapter with made-up numbers. */
export function madeUpAdapter(options: AdapterOptions = {}): Adapter {
  const { method = "mo-sara", heads = 1, k = 2, dIn = 4, dOut = 3, seed = 1 } = options;
  const { router = heads > 1 ? "rank1" : "none", targetNames = ["layers.0.self_attn.q_proj"] } = options;
  let position = 0;
  const tensorOf = (shape: readonly number[]): HostTensor => ({
    dtype: "float32",
    shape,
    data: Float32Array.from({ length: numElements(shape) }, () => Math.sin(seed + position++)),
  });
  const targets = targetNames.map((name) => {
    const shapes = Object.entries(expectedTensors(method, router, heads, { dIn, dOut, k }));
    const tensors = Object.fromEntries(shapes.map(([key, shape]) => [key, tensorOf(shape)]));
    const onlyOf = method === "mo-sara" ? { basisId: idOf(name) } : method === "lora" ? { scale: 2 } : {};
    return { name, dIn, dOut, k, ...onlyOf, tensors };
  });
  return { method, baseId: idOf("base"), heads, router, targets, card: { method, seed } };
}

interface MethodCase {
  readonly kind: Method | "full";
  readonly heads: number;
  readonly router: RouterKind | null;
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly rank_of_target: Readonly<Record<string, number>> | null;
  readonly trainable: Readonly<Record<string, readonly number[]>>;
}

/** The adapters at the perturbed point of every training fixture that trains one, by folder name. */
export async function fixtureAdapters(): Promise<Map<string, Adapter>> {
  const dir = join(fixturesDir("training"), "methods");
  const adapters = new Map<string, Adapter>();
  for (const slug of casesIn(dir, "case.json")) {
    const info = readJson<MethodCase>(dir, slug, "case.json");
    if (info.kind !== "full") adapters.set(slug, await fixtureAdapter(join(dir, slug), info, info.kind));
  }
  if (adapters.size === 0) throw new Error(`no adapter in ${dir}`);
  return adapters;
}

async function fixtureAdapter(dir: string, info: MethodCase, method: Method): Promise<Adapter> {
  await using point = await openSafetensors(join(dir, "point.safetensors"));
  await using base = await openSafetensors(join(dir, "..", "..", "base", "model.safetensors"));
  const split = Object.keys(info.trainable).map((full) => [full, full.lastIndexOf(".")] as const);
  const names = [...new Set(split.map(([full, dot]) => full.slice(0, dot)))];
  const targets = names.map(async (name) => {
    const keys = split.filter(([full, dot]) => full.slice(0, dot) === name);
    const tensors = keys.map(async ([full, dot]) => [full.slice(dot + 1), await point.read(full)] as const);
    const [dOut, dIn] = base.tensors.get(`model.${name}.weight`)!.shape as [number, number]; // a target of this base
    const k = info.rank_of_target?.[name] ?? (info.rank as number);
    const onlyOf =
      method === "mo-sara" ? { basisId: idOf(name) } : method === "lora" ? { scale: (info.alpha as number) / k } : {};
    return { name, dIn, dOut, k, ...onlyOf, tensors: Object.fromEntries(await Promise.all(tensors)) };
  });
  return {
    method,
    baseId: idOf("base"),
    heads: info.heads,
    router: info.router ?? "none",
    targets: await Promise.all(targets),
    card: { method },
  };
}
