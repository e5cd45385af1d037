/**
 * `mosara.json`, the manifest of a base directory. The builder writes it
 * and readers check it. It has no absolute paths, so directories can move.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { AppError, describeIssue, quote } from "../errors.ts";
import { LATER_SETTINGS, type ModelConfig } from "../model/config/model-config.ts";

export const MANIFEST_FILE = "mosara.json";
export const FORMAT_VERSION = 6;
/** The oldest version of quantised bases that are served. They store all originals unchanged. */
const OLDEST_SERVED_VERSION = 4;
/** The version before layouts. Unquantised bases of this version equal today's, because they have no layouts. */
const BEFORE_LAYOUTS = 3;
/** The oldest version whose adapter bases, weights and manifest equal today's. Only its serving graph differs. */
export const OLDEST_BASES_VERSION = 2;

/** The home of an original whose numbers are those of the serving graph. */
export const SERVED = "served";

export const WEIGHT_KINDS = ["float32", "float16", "int8", "int4"] as const;
export type WeightKind = (typeof WEIGHT_KINDS)[number];
/** The weights of a base whose matrices have layouts of their own, chosen by a budget of bits. */
export const MIXED = "mixed";

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().positive();

const targetSchema = z.object({
  name: z.string(),
  k: count,
  dIn: count,
  dOut: count,
  basisId: hash,
  /** Sum of all singular values. */
  nuclearNorm: z.number().nonnegative(),
});

/** The sizes from which everything is laid out. The builder checked the rest of the configuration. */
const configSchema = z
  .looseObject({
    family: z.string(),
    hiddenSize: count,
    intermediateSize: count,
    numLayers: count,
    numHeads: count,
    numKvHeads: count,
    headSize: count,
    vocabSize: count,
    maxPositions: count,
  })
  .transform((value) => ({ ...LATER_SETTINGS, ...value }) as unknown as ModelConfig);

const layoutSchema = z.strictObject({
  bits: z.literal([4, 8]),
  blockSize: count,
  accuracyLevel: z.literal([1, 4]),
  hasZeroPoints: z.boolean(),
  hasMinimums: z.boolean(),
  scaleType: z.enum(["float16", "float32"]),
});

/** A budget that chose the layouts. */
const budgetSchema = z.object({
  /** Bits for each weight of a matrix, all parts counted. */
  bits: z.number().positive(),
  /** The size of all matrices in the serving graph, and the maximum that the budget allows. */
  bytes: count,
  maxBytes: count,
  /** The mean KL divergence from the unrounded weights, nats a position, on a text of some tokens. */
  divergence: z.number().nonnegative(),
  numTokens: count,
});

const manifestSchema = z.object({
  formatVersion: z.number().int(),
  baseId: hash,
  architecture: z.string(),
  config: configSchema,
  weights: z.enum([...WEIGHT_KINDS, MIXED]),
  /** null where weights are not quantised. */
  blockSize: count.nullable(),
  accuracyLevel: count.nullable(),
  /** The layouts of the matrices of a quantised base, by group; null where weights are not quantised. */
  layouts: z.record(z.string(), layoutSchema).nullable().default(null),
  /** null where no budget chose the layouts. */
  budget: budgetSchema.nullable().default(null),
  /** null when there are no targets. */
  threshold: z.number().nullable(),
  maxRank: count.nullable(),
  parameters: count,
  /** Whether the original weights are here, for merging and training. */
  hasOriginals: z.boolean(),
  /**
   * Originals that are not in the weights file, by name: the type of their numbers, or `SERVED`. Bases of version 4
   * have none.
   */
  originals: z.record(z.string(), z.string()).default({}),
  /**
   * The method by which a checkpoint's originals are quantised, as its config.json states it. null for blocks of a GGUF
   * file, and where no original is quantised. Bases of version 5 have none.
   */
  quantization: z.record(z.string(), z.unknown()).nullable().default(null),
  /** Generation of the adapter that is merged into the weights; null in an ordinary base. */
  merged: hash.nullable(),
  endTokenIds: z.array(z.number().int().nonnegative()),
  targets: z.array(targetSchema),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type Budget = z.infer<typeof budgetSchema>;
export type ManifestTarget = z.infer<typeof targetSchema>;

/**
 * The manifest of a base directory.
 * @param oldest oldest version to accept: `OLDEST_BASES_VERSION` where the serving graph is not used
 * @throws {AppError} base_invalid
 */
export async function readManifest(dir: string, oldest: number = OLDEST_SERVED_VERSION): Promise<Manifest> {
  const path = join(dir, MANIFEST_FILE);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new AppError(
      "base_invalid",
      `${path} cannot be read: ${(cause as Error).message}. Build the base with mosara build.`,
      { cause },
    );
  }
  checkVersion(path, value as Partial<Manifest> | null, oldest);
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const { path: field, what } = describeIssue(result.error.issues[0]);
  throw new AppError(
    "base_invalid",
    `${path} is damaged at ${field === "" ? "the top" : field}: ${what}. Build the base again.`,
  );
}

/** Unquantised bases are the same in both versions, so those of the older version are served unchanged. */
function checkVersion(path: string, value: Partial<Manifest> | null, oldest: number): void {
  const version = value?.formatVersion;
  const isQuantized = value?.weights === "int8" || value?.weights === "int4";
  if (typeof version === "number" && version <= FORMAT_VERSION) {
    if (version >= oldest || (version === BEFORE_LAYOUTS && !isQuantized)) return;
    if (version === BEFORE_LAYOUTS)
      throw new AppError(
        "base_invalid",
        `${path} has format version ${version}, whose ${value?.weights} weights are less accurate than today's. Build the base again. --basis-from ${dirname(path)} copies its bases, so that adapters still fit.`,
      );
  }
  throw new AppError(
    "base_invalid",
    `${path} has format version ${quote(version)}, but this mosara reads ${FORMAT_VERSION}. Build the base again. --basis-from copies the bases of version ${OLDEST_BASES_VERSION} or later.`,
  );
}
