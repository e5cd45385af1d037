/** Short names of a few open models that mosara serves, so that users need not look up repositories. */

/** Alias → repository on the Hub. Its size and licence are read from the Hub, and shown before a download. */
export const ALIASES: ReadonlyMap<string, string> = new Map([
  ["smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"],
  ["smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct"],
  ["smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct"],
  ["smollm3", "HuggingFaceTB/SmolLM3-3B"],
  ["qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct"],
  ["qwen3-0.6b", "Qwen/Qwen3-0.6B"],
  ["olmo2-1b", "allenai/OLMo-2-0425-1B-Instruct"],
  ["phi-4-mini", "microsoft/Phi-4-mini-instruct"],
  ["gemma3-270m", "google/gemma-3-270m-it"],
  ["llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct"],
]);
