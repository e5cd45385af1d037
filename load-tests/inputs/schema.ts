/**
 * A schema such as applications have: names that are longer than their values, a nested object, and a list of objects.
 */
export const PLACE_SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 20 },
    description: { type: "string", maxLength: 30 },
    category: { enum: ["restaurant", "coffee shop", "public house"] },
    address: {
      type: "object",
      properties: {
        street_name: { type: "string", maxLength: 20 },
        house_number: { type: "integer", minimum: 1, maximum: 999 },
        postal_code: { type: "string", pattern: "^[0-9]{5}$" },
      },
      required: ["street_name", "house_number", "postal_code"],
      additionalProperties: false,
    },
    opening_hours: {
      type: "array",
      items: {
        type: "object",
        properties: {
          weekday: { enum: ["Monday", "Tuesday", "Wednesday"] },
          opens_at: { type: "integer", minimum: 0, maximum: 24 },
          closes_at: { type: "integer", minimum: 0, maximum: 24 },
        },
        required: ["weekday", "opens_at", "closes_at"],
        additionalProperties: false,
      },
      minItems: 2,
      maxItems: 3,
    },
    family_friendly: { type: "boolean" },
  },
  required: ["name", "description", "category", "address", "opening_hours", "family_friendly"],
  additionalProperties: false,
} as const;
