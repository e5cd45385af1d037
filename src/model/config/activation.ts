/** The activation of an MLP. transformers has several names for some of them. */
import { type RawConfig, readChoice } from "./config-reader.ts";
import type { ModelConfig } from "./model-config.ts";

const FUNCTIONS = {
  silu: "silu",
  swish: "silu",
  gelu_pytorch_tanh: "gelu_tanh",
  gelu_new: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  relu2: "relu2",
} as const satisfies Readonly<Record<string, ModelConfig["activation"]>>;

type Name = keyof typeof FUNCTIONS;

/** @throws {AppError} checkpoint_unsupported for any other function, naming `key`. */
export function readActivation(raw: RawConfig, key: string, fallback: Name): ModelConfig["activation"] {
  return FUNCTIONS[readChoice(raw, key, fallback, Object.keys(FUNCTIONS) as Name[])];
}
