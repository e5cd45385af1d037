/** Values of the fields that constrain the format of an answer, in the shapes of all APIs. */
import type { Neutral } from "./field.ts";

/** Free text. */
export const isJsonSchemaFree: Neutral = {
  text: '{"type": "text"}',
  holds: (value) => typeof value === "object" && value !== null && "type" in value && value.type === "text",
};
