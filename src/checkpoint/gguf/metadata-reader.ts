/** Typed reading of a GGUF file's metadata. A missing key gives undefined. A value of another kind is an error. */
import { AppError } from "../../errors.ts";
import type { GgufMetadata, GgufValue } from "../../formats/gguf/metadata.ts";

export class MetadataReader {
  readonly path: string;
  readonly architecture: string;
  readonly #metadata: GgufMetadata;

  /** @throws {AppError} checkpoint_invalid where the file names no architecture */
  constructor(path: string, metadata: GgufMetadata) {
    this.path = path;
    this.#metadata = metadata;
    this.architecture = this.text("general.architecture") ?? this.#lacks("general.architecture");
  }

  has(key: string): boolean {
    return this.#metadata.has(key);
  }

  /** Whether a setting exists and is neither 0 nor false. */
  isSet(key: string): boolean {
    const value = this.#metadata.get(key);
    return value !== undefined && value !== 0 && value !== false;
  }

  /** The full key of a setting of the architecture. */
  own(key: string): string {
    return `${this.architecture}.${key}`;
  }

  text(key: string): string | undefined {
    return this.#read(key, "a text", (value): value is string => typeof value === "string");
  }

  flag(key: string): boolean | undefined {
    return this.#read(key, "true or false", (value): value is boolean => typeof value === "boolean");
  }

  /** A whole number ≥ 0. A list with one number for each layer is accepted if all are equal. */
  count(key: string): number | undefined {
    const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
    const value = this.#metadata.get(key);
    if (typeof value !== "object") return this.#read(key, "a whole number", isCount);
    const counts = new Set<unknown>(Array.from(value as ArrayLike<unknown>, (item) => asNumber(item)));
    const [only] = counts;
    if (counts.size === 1 && isCount(only)) return only;
    throw new AppError(
      "checkpoint_unsupported",
      `${this.path}: ${key} differs between layers, which is not supported. Use another model.`,
    );
  }

  /** @throws {AppError} checkpoint_invalid where the file does not have the key */
  requiredCount(key: string): number {
    return this.count(key) ?? this.#lacks(key);
  }

  /** A number. A float32 is returned as its shortest decimal, because a file stores 1e-6 as 9.999999974752427e-7. */
  number(key: string): number | undefined {
    const value = this.#read(key, "a number", (one): one is number => typeof one === "number" && Number.isFinite(one));
    return value === undefined ? undefined : shortestDecimal(value);
  }

  strings(key: string): readonly string[] | undefined {
    const isStrings = (value: unknown): value is readonly string[] =>
      Array.isArray(value) && (value.length === 0 || typeof value[0] === "string");
    return this.#read(key, "a list of texts", isStrings);
  }

  numbers(key: string): ArrayLike<number> | undefined {
    const isNumbers = (value: unknown): value is ArrayLike<number> => ArrayBuffer.isView(value) && !isBig(value);
    return this.#read(key, "a list of numbers", isNumbers);
  }

  /** A number, or a list of numbers or booleans, as the file states it. */
  numberOrList(key: string): number | readonly number[] | undefined {
    const value = this.#metadata.get(key);
    if (typeof value !== "object") return this.count(key);
    return Array.from(
      value as ArrayLike<unknown>,
      (item) => asNumber(item) ?? this.#wrong(key, "a list of numbers", value),
    );
  }

  #read<T extends GgufValue | ArrayLike<number>>(
    key: string,
    wanted: string,
    is: (value: unknown) => value is T,
  ): T | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined) return undefined;
    return is(value) ? value : this.#wrong(key, wanted, value);
  }

  #wrong(key: string, wanted: string, value: GgufValue): never {
    const found =
      typeof value === "object" ? "a list" : JSON.stringify(typeof value === "bigint" ? String(value) : value);
    throw new AppError(
      "checkpoint_invalid",
      `${this.path}: ${key} must be ${wanted}, found ${found.slice(0, 100)}. Convert the model again.`,
    );
  }

  #lacks(key: string): never {
    throw new AppError("checkpoint_invalid", `${this.path} lacks ${key}. Convert the model again.`);
  }
}

function isBig(value: ArrayBufferView): boolean {
  return value instanceof BigInt64Array || value instanceof BigUint64Array;
}

function asNumber(value: unknown): number | undefined {
  if (typeof value === "boolean" || typeof value === "bigint") return Number(value);
  return typeof value === "number" ? value : undefined;
}

/** The shortest decimal whose float32 is this value; the value itself where it is no float32. */
export function shortestDecimal(value: number): number {
  if (Math.fround(value) !== value) return value;
  for (let digits = 1; digits <= 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return value;
}
