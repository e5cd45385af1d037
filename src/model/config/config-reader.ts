/**
 * Typed reading of a Hugging Face `config.json`. An absent or null key means the class's default. A wrong type is an
 * error.
 */
import { AppError, quote } from "../../errors.ts";

export type RawConfig = Readonly<Record<string, unknown>>;

function wrong(key: string, wanted: string, value: unknown): AppError {
  return new AppError("checkpoint_invalid", `config.json: ${key} must be ${wanted}, found ${quote(value)}.`);
}

/** Refuses a setting that changes the mathematics and is not supported. */
export function unsupported(key: string, value: unknown, supported: string): AppError {
  return new AppError(
    "checkpoint_unsupported",
    `config.json: ${key} = ${quote(value)} is not supported; supported: ${supported}.`,
  );
}

/**
 * Largest size of any model. It bounds positions too, because rotary tables are made before tensors could contradict
 * them.
 */
const MAX_COUNT = 2 ** 24;

/** A positive integer. */
export function readCount(raw: RawConfig, key: string, fallback: number, max = MAX_COUNT): number {
  const value = raw[key] ?? fallback;
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > max)
    throw wrong(key, `a positive integer up to ${max}`, value);
  return value as number;
}

/**
 * `raw` with the class's defaults for absent or null keys. Null key/value heads stay null. Null always means the number
 * of attention heads, even if the class has another default.
 */
export function withDefaults(raw: RawConfig, defaults: RawConfig): RawConfig {
  const isGiven = ([key, value]: [string, unknown]): boolean =>
    value !== null || key === "num_key_value_heads" || !(key in defaults);
  return { ...defaults, ...Object.fromEntries(Object.entries(raw).filter(isGiven)) };
}

/** A positive number. */
export function readNumber(raw: RawConfig, key: string, fallback: number): number {
  const value = raw[key] ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) throw wrong(key, "a positive number", value);
  return value;
}

export function readFlag(raw: RawConfig, key: string, fallback: boolean): boolean {
  const value = raw[key] ?? fallback;
  if (typeof value !== "boolean") throw wrong(key, "true or false", value);
  return value;
}

/** One of the given words. @throws checkpoint_unsupported for any other. */
export function readChoice<T extends string>(raw: RawConfig, key: string, fallback: T, choices: readonly T[]): T {
  const value = raw[key] ?? fallback;
  const choice = choices.find((known) => known === value);
  if (choice === undefined) throw unsupported(key, value, choices.join(", "));
  return choice;
}

/** A nested object, or null when absent. */
export function readObject(raw: RawConfig, key: string): RawConfig | null {
  const value = raw[key] ?? null;
  if (value !== null && (typeof value !== "object" || Array.isArray(value))) throw wrong(key, "an object", value);
  return value as RawConfig | null;
}
