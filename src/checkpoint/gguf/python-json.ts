/** Writes a configuration as JSON for transformers: whole numbers have a point where its classes need a float. */

const FLOATS: ReadonlySet<string> = new Set([
  "attention_factor",
  "attn_logit_softcapping",
  "beta_fast",
  "beta_slow",
  "factor",
  "final_logit_softcapping",
  "high_freq_factor",
  "layer_norm_epsilon",
  "low_freq_factor",
  "partial_rotary_factor",
  "rms_norm_eps",
  "rope_local_base_freq",
  "rope_theta",
]);

export function pythonJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  // Quotes inside strings are escaped, so a line of this form is always a key and a number.
  return `${text.replace(/^( *"(\w+)": -?\d+)(,?)$/gm, (line, number: string, key: string, comma: string) => (FLOATS.has(key) ? `${number}.0${comma}` : line))}\n`;
}
