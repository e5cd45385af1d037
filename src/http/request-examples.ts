/**
 * An example of each JSON body, for the OpenAPI document and the page `/docs`. The names are those of the shipped demo.
 * Tests send every one of them.
 */

const messages = [{ role: "user", content: "Hello, where is my order?" }];
const weather = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1 } },
  required: ["city", "days"],
  additionalProperties: false,
};

export const REQUEST_EXAMPLES: Readonly<Record<string, object>> = {
  "post /v1/completions": { model: "pirate", prompt: "user: Hello\nassistant:", max_tokens: 32, temperature: 0 },
  "post /v1/chat/completions": {
    model: "pirate",
    messages: [{ role: "system", content: "Be brief." }, ...messages],
    max_tokens: 64,
    temperature: 0.7,
  },
  "post /v1/responses": {
    model: "demo",
    instructions: "Be brief.",
    input: "Hello, where is my order?",
    max_output_tokens: 64,
    text: { format: { type: "json_schema", name: "trip", schema: weather } },
  },
  "post /v1/messages": { model: "pirate", system: "Be brief.", messages, max_tokens: 64 },
  "post /v1/messages/count_tokens": { model: "demo", messages },
  "post /v1/embeddings": { model: "demo", input: ["a red lamp", "a lamp that is red"], pooling: "mean" },
  "post /v1/chat/completions/render": { model: "demo", messages },
  "post /v1/completions/render": { model: "demo", prompt: "Hello" },
  "post /tokenize": { model: "demo", prompt: "Hello", return_token_strs: true },
  "post /detokenize": { model: "demo", tokens: [40, 69, 76] },
  "post /v1/adapters/{name}/placement": { placement: "merged" },
  "post /v1/adapters/{name}/rollback": { to: "-1" },
  "put /v1/aliases/{name}": { targets: { pirate: 95, formal: 5 } },
  "post /v1/aliases/{name}/promote": { target: "formal" },
  "post /v1/aliases/{name}/rollback": {},
  "post /v1/fine_tuning/jobs": {
    model: "demo",
    training_file: "file-27f71acf8d2c7ede3a1c68dc",
    suffix: "support",
    hyperparameters: { n_epochs: 2 },
  },
  "post /v1/receipts/sign": { receipt: "eyJhZGFwdGVyIjpudWxs….unsigned.kk3…" },
  "post /v1/load_lora_adapter": { lora_name: "pirate", lora_path: "pirate.mosara", load_inplace: true },
  "post /v1/unload_lora_adapter": { lora_name: "pirate" },
  "post /load_lora_adapter": { lora_name: "pirate", lora_path: "pirate.mosara" },
  "post /unload_lora_adapter": { lora_name: "pirate" },
  "post /v1/loras": { lora_name: "pirate", source: { uri: "hf://acme/pirate-lora@v2" } },
};
