/**
 * Checks that an adapter is consistent in itself: method, heads and router agree, every target is whole, every number
 * is finite. Knows neither file bytes (adapter-file.ts) nor the base (`assertFits` in adapter.ts). Source:
 * docs/reference/mosara-file.md. Loops bound the indices, hence `!`.
 */
import { AppError, quote } from "../errors.ts";
import { encode } from "../formats/msgpack.ts";
import { type HostTensor, numElements } from "../tensor/host-tensor.ts";
import { type Adapter, type AdapterTarget, type Card, type CardValue } from "./adapter.ts";
import { METHODS, expectedTensors } from "./methods.ts";

/** Depth to which lists and maps in a card may nest. */
export const MAX_CARD_DEPTH = 6;
const MAX_CARD_ITEMS = 10_000;
/** Maximum size of a card in bytes. It is stored beside the name and sent in lists, so it must stay small. */
const MAX_CARD_BYTES = 65_536;

/** Maximum number of end tokens of one adapter. */
const MAX_END_TOKENS = 64;

const TARGET_NAME = /^layers\.(0|[1-9]\d{0,5})(\.[A-Za-z0-9_]+)+$/;
const MAX_TARGET_NAME_LENGTH = 256;
const SHA256_HEX = /^[0-9a-f]{64}$/;
const BASE_ID = /^[\x21-\x7e]{1,128}$/;

/** Refuses an adapter. The message says what is wrong and where. @throws AppError adapter_invalid, always. */
export function refuse(problem: string): never {
  throw new AppError("adapter_invalid", `The adapter is invalid: ${problem}. Write the file again and upload it.`);
}

/**
 * Checks everything that an adapter states about itself. @throws AppError adapter_invalid, naming the target and
 * tensor.
 */
export function assertAdapter(adapter: Adapter): void {
  const { method, baseId, heads, router, targets, endTokenIds, card } = adapter;
  if (!Object.hasOwn(METHODS, method))
    refuse(`method is ${quote(method)}; known methods: ${Object.keys(METHODS).map(quote).join(", ")}`);
  if (!["none", "rank1", "full"].includes(router))
    refuse(`router is ${quote(router)}; known routers: "none", "rank1" and "full"`);
  if (!BASE_ID.test(baseId)) refuse(`baseId is ${quote(baseId)}, but must be a base's id (SHA-256 in hex)`);
  if (!isDimension(heads)) refuse(`heads is ${quote(heads)}, but must be a positive whole number`);
  if (method !== "mo-sara" && heads !== 1) refuse(`heads is ${heads}, but a ${method} adapter has 1`);
  if (method !== "mo-sara" && router !== "none") refuse(`router is "${router}", but a ${method} adapter has "none"`);
  if ((heads === 1) !== (router === "none"))
    refuse(`router is "${router}" with ${heads} heads; one head needs "none", several need "rank1" or "full"`);
  if (targets.length === 0) refuse("it has no targets, so it would change nothing");
  const names = new Set<string>();
  for (const target of targets) {
    assertTarget(adapter, target);
    if (names.has(target.name)) refuse(`target ${target.name} occurs twice`);
    names.add(target.name);
  }
  if (endTokenIds !== undefined) assertEndTokens(endTokenIds);
  assertCard(card);
}

/** A model has few end tokens. They must be ascending, so that equal lists have equal bytes. */
function assertEndTokens(ids: unknown): void {
  const isId = (id: unknown, i: number, all: readonly unknown[]): boolean =>
    Number.isSafeInteger(id) && (id as number) >= 0 && (i === 0 || (id as number) > (all[i - 1] as number));
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > MAX_END_TOKENS || !ids.every(isId))
    refuse(`endTokenIds is ${quote(ids)}, but must be 1 to ${MAX_END_TOKENS} token ids in ascending order`);
}

function isDimension(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function assertTarget(adapter: Adapter, target: AdapterTarget): void {
  const { name, dIn, dOut, k, basisId, scale } = target;
  const { method } = adapter;
  if (name.length > MAX_TARGET_NAME_LENGTH || !TARGET_NAME.test(name))
    refuse(
      `a target is named ${quote(name)}, but names have the form layers.<L>.<module>, as in layers.0.self_attn.q_proj`,
    );
  for (const [key, value] of Object.entries({ dIn, dOut, k }))
    if (!isDimension(value)) refuse(`${key} of ${name} is ${quote(value)}, but must be a positive whole number`);
  if (method === "mo-sara") {
    if (k > Math.min(dIn, dOut)) refuse(`k of ${name} is ${k}, more than a ${dOut}×${dIn} matrix has directions`);
    if (basisId === undefined || !SHA256_HEX.test(basisId))
      refuse(`basisId of ${name} is ${quote(basisId)}, but must be the basis's SHA-256 in hex`);
  } else if (basisId !== undefined) refuse(`${name} has a basisId, which only mo-sara adapters have`);
  if (method === "lora" ? !Number.isFinite(scale) : scale !== undefined)
    refuse(
      method === "lora"
        ? `scale of ${name} is ${quote(scale)}, but must be a finite number`
        : `${name} has a scale, which only lora adapters have`,
    );
  assertTensors(adapter, target);
}

function assertTensors({ method, router, heads }: Adapter, target: AdapterTarget): void {
  const { name, tensors } = target;
  const expected = expectedTensors(method, router, heads, target);
  const surplus = Object.keys(tensors).find((key) => !Object.hasOwn(expected, key));
  if (surplus !== undefined)
    refuse(`${name} has a tensor ${quote(surplus)}, but must have exactly ${Object.keys(expected).join(", ")}`);
  for (const [key, shape] of Object.entries(expected)) {
    const where = `tensor ${key} of ${name}`;
    const tensor = Object.hasOwn(tensors, key) ? tensors[key] : undefined;
    if (tensor === undefined) return refuse(`${where} is missing`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i]))
      refuse(`${where} has shape ${quote(tensor.shape)}, wanted [${shape.join(",")}]`);
    if (tensor.data.length !== numElements(shape))
      refuse(
        `${where} has ${tensor.data.length} values, but its shape [${shape.join(",")}] needs ${numElements(shape)}`,
      );
    assertFinite(tensor, where);
  }
}

/** Bits that are all set in an infinity or NaN of a 16-bit type. */
const EXPONENT_BITS = { float16: 0x7c00, bfloat16: 0x7f80 } as const;

function assertFinite({ dtype, data }: HostTensor, where: string): void {
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16")
    return refuse(`${where} has dtype ${quote(dtype)}; known: "float32", "float16" and "bfloat16"`);
  if (dtype === "float32") {
    const values = data as Float32Array;
    for (let i = 0; i < values.length; i++)
      if (!Number.isFinite(values[i]!)) refuse(`${where} holds ${values[i]} at position ${i}`);
    return;
  }
  const mask = EXPONENT_BITS[dtype];
  const bits = data as Uint16Array;
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & mask) === mask) refuse(`${where} holds an infinity or NaN at position ${i}`);
}

function assertCard(card: Card): void {
  let numItems = 0;
  const visit = (value: unknown, where: string, depth: number): void => {
    if (++numItems > MAX_CARD_ITEMS) refuse(`the card has more than ${MAX_CARD_ITEMS} values`);
    if (typeof value === "string" || typeof value === "boolean" || value === null || Number.isFinite(value)) return;
    if (!Array.isArray(value) && !isPlainMap(value))
      return refuse(
        `${where} is ${quote(value)}; allowed are strings, finite numbers, true, false, null, lists and maps`,
      );
    if (depth > MAX_CARD_DEPTH) refuse(`${where} nests deeper than ${MAX_CARD_DEPTH}`);
    for (const [key, item] of Object.entries(value)) visit(item, `card ${quote(key)}`, depth + 1);
  };
  if (!isPlainMap(card)) refuse("the card is not a map");
  visit(card, "the card", 0);
  const { byteLength } = encode(card);
  if (byteLength > MAX_CARD_BYTES)
    refuse(`the card has ${byteLength} bytes, but at most ${MAX_CARD_BYTES} are allowed`);
}

/** Whether `value` is a plain object, the form in which the codec returns maps. */
export function isPlainMap(value: unknown): value is Record<string, CardValue> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
