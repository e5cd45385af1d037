/**
 * Converts a PEFT LoRA directory (two files) to an adapter and back.
 * Import reads the tensors in the file; the configuration gives their scale.
 * Export accepts every method whose delta is one product of rank k, which is a LoRA of scale 1.
 * Knows neither directories nor the module names of a family
 * (`PeftNames`). Source: peft 0.21, facts in the model fixtures' README.
 */
import { AppError, quote } from "../errors.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import { type HostTensor, hostTensor } from "../tensor/host-tensor.ts";
import { assertAdapter } from "./adapter-check.ts";
import type { Adapter, AdapterTarget, BaseSignature, LinearSignature } from "./adapter.ts";
import { type MergeBasis, deltaFactors } from "./merge.ts";
import { type PeftScale, readPeftConfig, refusePeft } from "./peft-config.ts";

/** The names of linear layers in the files of a base's family. */
export interface PeftNames {
  /**
   * Our name of the layer at a module path, e.g. `model.layers.0.self_attn.q_proj`; undefined where there is no linear
   * layer.
   */
  linearAt(path: string): string | undefined;
  pathOf(linear: string): string;
  /** Whether the family's files hold these weights as [in,out] (Conv1D). */
  readonly isTransposed: boolean;
}

/** The bytes of adapter_config.json and adapter_model.safetensors. */
export interface PeftFiles {
  readonly config: Uint8Array;
  readonly tensors: Uint8Array;
}

/** A PEFT directory: its files, and the text files that trainers save beside them, read when they are asked for. */
export interface PeftDirectory extends PeftFiles {
  readonly dir: string;
  readonly texts: ReadonlyMap<string, () => Promise<Uint8Array>>;
}

interface Halves {
  A?: HostTensor;
  B?: HostTensor;
}

/**
 * The adapter in a PEFT directory, made for this base.
 * @throws AppError adapter_invalid for every adapter that is not a
 * plain LoRA, adapter_incompatible where it does not fit the base.
 */
export function adapterFromPeft(files: PeftFiles, base: BaseSignature, names: PeftNames): Adapter {
  const config = readPeftConfig(files.config); // before the tensors, because its message explains the other tensors
  const found = [...halvesByPath(files.tensors)];
  const scales = config.scalesOf(found.map(([path]) => path));
  const targets = new Map<string, AdapterTarget>();
  for (const [i, [path, halves]] of found.entries()) {
    const linear = linearAt(path, base, names);
    if (targets.has(linear.name)) refusePeft(`${quote(path)} is adapted twice, under two names`);
    targets.set(linear.name, targetOf(path, halves, linear, scales[i] as PeftScale)); // one a path
  }
  const adapter: Adapter = {
    method: "lora",
    baseId: base.baseId,
    heads: 1,
    router: "none",
    targets: [...base.linears.keys()].flatMap((name) => targets.get(name) ?? []),
    card: { source: "peft", rank: config.rank, alpha: config.alpha, rslora: config.usesRootRank },
  };
  assertAdapter(adapter);
  return adapter;
}

/**
 * Reads a PEFT directory without a base, for a caller that has none. Every check runs except the comparison with the
 * base. Layers are named by number and module. The adapter belongs to no base. @throws AppError adapter_invalid
 */
export function adapterOfPeftAlone(files: PeftFiles): Adapter {
  readPeftConfig(files.config); // before the tensors, as above
  const linears = [...halvesByPath(files.tensors)].map(([path, { A, B }]): [string, LinearSignature] => {
    const name = nameAlone(path);
    return [name, { name, dIn: A?.shape[1] ?? 0, dOut: B?.shape[0] ?? 0 }];
  });
  const own: PeftNames = { linearAt: (path) => nameAlone(path), pathOf: (name) => name, isTransposed: false };
  return adapterFromPeft(files, { baseId: NO_BASE, linears: new Map(linears) }, own);
}

/** `layers.<L>.<module>` of a module path in any family. */
function nameAlone(path: string): string {
  return path.replace(/^(?:.*\.)?(?:layers|h)\.(\d+)\./, "layers.$1.");
}

const NO_BASE = "0".repeat(64);
// "default" is peft's name for an unnamed adapter. Some trainers leave it in the file, and peft loads that too.
const HALF = /^base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight$/;
const NAMED_HALF = /\.lora_[AB]\.([^.]+)\.weight$/;

function halvesByPath(bytes: Uint8Array): ReadonlyMap<string, Halves> {
  const halves = new Map<string, Halves>();
  for (const [name, tensor] of readTensors(bytes)) {
    const [, path = "", half] = HALF.exec(name) ?? [];
    if (half !== "A" && half !== "B") return refusePeft(`it holds ${quote(name)}, ${whatElse(name)}`);
    const both = halves.get(path) ?? {};
    if (both[half])
      return refusePeft(`it has lora_${half} of ${quote(path)} twice, with and without "default" in its name`);
    both[half] = tensor;
    halves.set(path, both);
  }
  if (halves.size === 0) refusePeft("adapter_model.safetensors has no tensors");
  return halves;
}

/** The description of a tensor that is not half of a low-rank change. */
function whatElse(name: string): string {
  if (name.includes("lora_magnitude_vector")) return "a magnitude vector: DoRA changes the formula";
  if (name.includes("lora_embedding_")) return "a change of the embedding; only linear layers can be adapted";
  if (name.endsWith(".bias")) return "a bias that replaces or joins the base's own";
  const [, adapter] = NAMED_HALF.exec(name) ?? [];
  if (adapter !== undefined)
    return `which has the adapter's name "${adapter}" in the middle, where peft finds nothing when it loads. Save it again with save_pretrained, or take ".${adapter}" out of the names`;
  if (!name.includes("lora_")) return "a whole tensor that replaces the base's own";
  return "which is not named base_model.model.<module>.lora_A.weight or lora_B.weight";
}

function readTensors(bytes: Uint8Array): ReadonlyMap<string, HostTensor> {
  try {
    return parseSafetensors(bytes, "adapter_model.safetensors");
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    throw new AppError("adapter_invalid", `The PEFT adapter cannot be used: ${cause.message}`, { cause });
  }
}

function linearAt(path: string, base: BaseSignature, names: PeftNames): LinearSignature {
  const name = names.linearAt(path);
  const linear = name === undefined ? undefined : base.linears.get(name);
  if (linear) return linear;
  const known = [...base.linears.keys()].map((one) => names.pathOf(one));
  throw new AppError(
    "adapter_incompatible",
    `The PEFT adapter changes ${quote(path)}, which is not a linear layer of this base. Its layers are ${known[0]} … ${known.at(-1)}, with the modules ${[...new Set(known.map((one) => one.split(".").at(-1)))].join(", ")}.`,
  );
}

function targetOf(path: string, { A, B }: Halves, linear: LinearSignature, { rank, scale }: PeftScale): AdapterTarget {
  if (!A || !B) return refusePeft(`${quote(path)} has a lora_${A ? "A" : "B"} but no lora_${A ? "B" : "A"}`);
  const { name, dIn, dOut } = linear;
  const [foundRank, foundIn] = A.shape;
  const [foundOut, otherRank] = B.shape;
  if (A.shape.length !== 2 || B.shape.length !== 2 || foundRank !== otherRank)
    return refusePeft(
      `the halves of ${quote(path)} are ${quote(A.shape)} and ${quote(B.shape)}, but must be [r,in] and [out,r]`,
    );
  if (foundIn !== dIn || foundOut !== dOut)
    throw new AppError(
      "adapter_incompatible",
      `The PEFT adapter's ${quote(path)} is ${foundOut}×${foundIn}, but this base's is ${dOut}×${dIn}. It was made for another model.`,
    );
  if (foundRank !== rank)
    refusePeft(
      `${quote(path)} has rank ${foundRank} in its tensors but ${rank} in adapter_config.json, so its scale is not known`,
    );
  return { name, dIn, dOut, k: rank, scale, tensors: { lora_A: A, lora_B: B } };
}

/** Checks that the adapter can be written as a PEFT LoRA. @throws AppError not_mergeable for several heads */
export function assertExportable({ heads }: Adapter): void {
  if (heads === 1) return;
  throw new AppError(
    "not_mergeable",
    `The adapter has ${heads} heads. Their gate depends on the token, and LoRA has no gate. Only adapters with one head can be exported.`,
  );
}

/** The two tensors of a target under PEFT's names. @param basis only needed for mo-sara */
export function peftTensors(
  adapter: Adapter,
  target: AdapterTarget,
  basis: MergeBasis | null,
  names: PeftNames,
): ReadonlyMap<string, HostTensor> {
  assertExportable(adapter);
  const name = (half: string): string => `base_model.model.${names.pathOf(target.name)}.lora_${half}.weight`;
  const { lora_A, lora_B } = target.tensors;
  if (adapter.method === "lora" && lora_A && lora_B)
    return new Map([
      [name("A"), lora_A],
      [name("B"), lora_B],
    ]);
  const { left, right, k } = deltaFactors(adapter, target, basis);
  return new Map([
    [name("A"), hostTensor("float32", [k, target.dIn], Float32Array.from(right))],
    [name("B"), hostTensor("float32", [target.dOut, k], Float32Array.from(left))],
  ]);
}

/** The adapter_config.json that belongs to `peftTensors`. */
export function peftConfig(adapter: Adapter, names: PeftNames): Readonly<Record<string, unknown>> {
  const modules = adapter.targets.map((target) => {
    const scale = adapter.method === "lora" ? (target.scale ?? 1) : 1;
    return { path: names.pathOf(target.name), rank: target.k, alpha: alphaOf(scale, target.k) };
  });
  const [first] = modules;
  if (!first) throw new Error("internal: an adapter without targets");
  const { rank, alpha } = first;
  const others = (key: "rank" | "alpha", usual: number): Record<string, number> =>
    Object.fromEntries(
      modules.flatMap((module) => (module[key] === usual ? [] : [[asPattern(module.path), module[key]]])),
    );
  return {
    alpha_pattern: others("alpha", alpha),
    base_model_name_or_path: null,
    bias: "none",
    fan_in_fan_out: names.isTransposed,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: others("rank", rank),
    target_modules: modules.map(({ path }) => path),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: false,
  };
}

/** The alpha for which alpha / rank is bit-identical to `scale`, where there is one. */
function alphaOf(scale: number, rank: number): number {
  const alpha = scale * rank;
  const near = [alpha, alpha * (1 + 2 ** -52), alpha * (1 - 2 ** -52)];
  return near.find((one) => one / rank === scale) ?? alpha;
}

/** A path as the regular expression that matches only this path. */
function asPattern(path: string): string {
  return path.replaceAll(".", "\\.");
}
