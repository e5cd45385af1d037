/**
 * The `.mosara` file: encodes and decodes an adapter, and computes the generation that names its bytes. The reader
 * trusts nothing. It checks sizes before it allocates memory, then types, then consistency (adapter-check.ts). Does not
 * know where files are stored. Source: docs/reference/mosara-file.md.
 */
import { createHash } from "node:crypto";
import { AppError, quote } from "../errors.ts";
import { decodeBounded, encode } from "../formats/msgpack.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import { type HostTensor, bytesOf, numElements, tensorFromBytes } from "../tensor/host-tensor.ts";
import { MAX_CARD_DEPTH, assertAdapter, isPlainMap, refuse } from "./adapter-check.ts";
import { foreignFileNotice } from "./foreign-file.ts";
import { type Adapter, type AdapterTarget, type Card, type Method, type RouterKind } from "./adapter.ts";
import { expectedTensors } from "./methods.ts";

const MAGIC = "mosara";
const VERSION = 1;

/** Default maximum size in bytes of a `.mosara` file. */
export const DEFAULT_MAX_ADAPTER_BYTES = 64 * 2 ** 20;
// A target needs about 60 values, so this is some 16,000 targets.
const MAX_ITEMS = 1_000_000;
// The deepest nesting: file, targets, target, tensors, tensor, shape; or file, card and the nesting in the card.
const MAX_FILE_DEPTH = Math.max(6, MAX_CARD_DEPTH + 3);

/** Bounds on a file that is read. */
export interface AdapterFileLimits {
  /** Default `DEFAULT_MAX_ADAPTER_BYTES`. */
  readonly maxBytes?: number;
}

/** The bytes of a `.mosara` file with the decoded adapter. It is decoded once for all callers that need both. */
export interface DecodedFile {
  readonly bytes: Uint8Array;
  readonly adapter: Adapter;
}

/** The file with its adapter, decoded here unless that was done before. @throws {AppError} as `decodeAdapter` */
export function decodedFile(file: Uint8Array | DecodedFile, limits?: AdapterFileLimits): DecodedFile {
  return "adapter" in file ? file : { bytes: file, adapter: decodeAdapter(file, limits) };
}

/** The adapter's generation: SHA-256 of the file's bytes, 64 hex digits. */
export function generationOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/**
 * Encodes an adapter as a `.mosara` file. Equal adapters give equal bytes.
 * @throws AppError adapter_invalid where `decodeAdapter` would refuse the file, so that no unreadable file is written.
 */
export function encodeAdapter(adapter: Adapter): Uint8Array {
  assertAdapter(adapter);
  const { method, baseId, heads, router, targets, endTokenIds = [], card } = adapter;
  return encode({
    magic: MAGIC,
    version: VERSION,
    method,
    baseId,
    heads,
    router,
    targets: targets.map((target) => plainTarget(adapter, target)),
    ...(endTokenIds.length === 0 ? {} : { endTokenIds }),
    card,
  });
}

function plainTarget({ method, router, heads }: Adapter, target: AdapterTarget) {
  const { name, dIn, dOut, k, basisId, scale } = target;
  const tensors = Object.keys(expectedTensors(method, router, heads, target)).map((key) => {
    const tensor = target.tensors[key] as HostTensor; // assertAdapter has found it
    return [key, { dtype: tensor.dtype, shape: tensor.shape, data: bytesOf(tensor) }] as const;
  });
  const onlyOf = method === "mo-sara" ? { basisId } : method === "lora" ? { scale } : {};
  return { name, dIn, dOut, k, ...onlyOf, tensors: Object.fromEntries(tensors) };
}

/**
 * Decodes the bytes of a `.mosara` file. The adapter's tensors are in memory of their own.
 * @throws AppError adapter_too_large above `maxBytes`; adapter_invalid for any other fault, with its kind and place.
 */
export function decodeAdapter(bytes: Uint8Array, limits: AdapterFileLimits = {}): Adapter {
  const { maxBytes = DEFAULT_MAX_ADAPTER_BYTES } = limits;
  if (bytes.byteLength > maxBytes)
    throw new AppError(
      "adapter_too_large",
      `The adapter file has ${bytes.byteLength} bytes, but at most ${maxBytes} are allowed. Train it with fewer targets or a smaller k.`,
    );
  const foreign = foreignFileNotice(bytes);
  if (foreign !== null) return refuse(`${foreign.replace(/\.$/, "")}`);
  const file = decodeBounded(bytes, { maxBytes, maxDepth: MAX_FILE_DEPTH, maxItems: MAX_ITEMS });
  if (!isPlainMap(file) || file.magic !== MAGIC)
    return refuse('it is not a .mosara file (its "magic" is not "mosara")');
  if (file.version !== VERSION)
    return refuse(`it has version ${quote(file.version)}, but this program reads version ${VERSION}`);
  const known = ["magic", "version", "method", "baseId", "heads", "router", "targets", "endTokenIds", "card"];
  const fields = mapOf(file, "the file", known);
  const { targets, endTokenIds, card } = fields;
  if (!Array.isArray(targets)) return refuse("targets is not a list");
  if (!isPlainMap(card)) return refuse("card is not a map");
  const adapter: Adapter = {
    // assertAdapter checks these: the names must be known ones, and the end tokens must be a list of ids.
    method: textOf(fields.method, "method") as Method,
    baseId: textOf(fields.baseId, "baseId"),
    heads: numberOf(fields.heads, "heads"),
    router: textOf(fields.router, "router") as RouterKind,
    targets: targets.map(parseTarget),
    ...(endTokenIds === undefined ? {} : { endTokenIds: endTokenIds as readonly number[] }),
    card: card as Card,
  };
  assertAdapter(adapter);
  return adapter;
}

function parseTarget(value: unknown, index: number): AdapterTarget {
  const known = ["name", "dIn", "dOut", "k", "basisId", "scale", "tensors"];
  const target = mapOf(value, `target ${index}`, known);
  const name = textOf(target.name, `name of target ${index}`);
  const where = `target ${quote(name)}`;
  if (!isPlainMap(target.tensors)) return refuse(`tensors of ${where} is not a map`);
  const tensors = Object.entries(target.tensors).map(
    ([key, tensor]) => [key, parseTensor(tensor, `tensor ${quote(key)} of ${where}`)] as const,
  );
  return {
    name,
    dIn: numberOf(target.dIn, `dIn of ${where}`),
    dOut: numberOf(target.dOut, `dOut of ${where}`),
    k: numberOf(target.k, `k of ${where}`),
    ...(target.basisId === undefined ? {} : { basisId: textOf(target.basisId, `basisId of ${where}`) }),
    ...(target.scale === undefined ? {} : { scale: numberOf(target.scale, `scale of ${where}`) }),
    tensors: Object.fromEntries(tensors),
  };
}

function parseTensor(value: unknown, where: string): HostTensor {
  const { dtype, shape, data } = mapOf(value, where, ["dtype", "shape", "data"]);
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16")
    return refuse(`${where} has dtype ${quote(dtype)}; known: "float32", "float16" and "bfloat16"`);
  // Ranks above 2 do not occur. The limit also prevents numElements from being rounded to a wrong size.
  if (!Array.isArray(shape) || shape.length > 2 || !shape.every((size) => Number.isSafeInteger(size) && size > 0))
    return refuse(`${where} has shape ${quote(shape)}, but must have a list of one or two sizes`);
  if (!(data instanceof Uint8Array)) return refuse(`data of ${where} is not binary`);
  const wanted = numElements(shape as number[]) * bytesPerElement(dtype);
  if (data.byteLength !== wanted)
    return refuse(`data of ${where} has ${data.byteLength} bytes, but ${dtype} ${quote(shape)} needs ${wanted}`);
  return tensorFromBytes(dtype, shape as number[], data);
}

/** A map that has only the known keys. An ignored key could change what the adapter means. */
function mapOf(value: unknown, where: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isPlainMap(value)) return refuse(`${where} is not a map`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) refuse(`${where} has the unknown key ${quote(unknown)}; known keys: ${known.join(", ")}`);
  return value;
}

function textOf(value: unknown, where: string): string {
  return typeof value === "string" ? value : refuse(`${where} is ${quote(value)}, wanted a string`);
}

function numberOf(value: unknown, where: string): number {
  return typeof value === "number" ? value : refuse(`${where} is ${quote(value)}, wanted a number`);
}
