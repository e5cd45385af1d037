/** Good bodies that use many fields. */
const schema = {
  type: "object",
  properties: { city: { type: "string", minLength: 1 }, days: { type: "integer", minimum: 1 } },
  required: ["city"],
  additionalProperties: false,
};
const weather = { name: "weather", description: "the weather", parameters: schema, strict: true };
const call = { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } };
const sampling = { temperature: 0.7, top_p: 0.9, seed: 1, stop: ["x", "\n"], presence_penalty: 0.1, user: "u" };

export const COMPLETION_BODY: readonly object[] = [
  { model: "demo", prompt: ["four", "five"], max_tokens: 6, echo: true, logprobs: 2, n: 2, best_of: 3, ...sampling },
  {
    model: "demo",
    prompt: [
      [1, 2, 3],
      [4, 5],
    ],
    logit_bias: { 5: -100, 7: 3 },
    bad_words: ["no"],
    allowed_token_ids: [1, 2],
    structured_outputs: { choice: ["yes", "no"] },
    adapter: { weights: { pirate: 0.5, formal: 0.5 } },
  },
  { model: "demo", prompt: "x", guided_regex: "[a-c]{1,3}", stream: true, stream_options: { include_usage: true } },
  {
    model: "demo",
    prompt: "x",
    adapter: { data: "iKVtYWdpY6Ztb3NhcmE=" },
    mosara_receipt: true,
    return_token_ids: true,
  },
];

export const CHAT_BODY: readonly object[] = [
  {
    model: "demo",
    max_tokens: 8,
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: [{ type: "text", text: "Oslo?" }] },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c1", content: "rain" },
    ],
    tools: [{ type: "function", function: weather }],
    tool_choice: { type: "function", function: { name: "weather" } },
    chat_template_kwargs: { mood: 1, list: [1.0, { 1: 2 }] },
    ...sampling,
  },
  {
    model: "demo",
    messages: [{ role: "user", content: "hi" }],
    response_format: { type: "json_schema", json_schema: { name: "trip", strict: true, schema } },
    logprobs: true,
    top_logprobs: 3,
    adapter: { sha256: "0".repeat(64) },
  },
  {
    model: "demo",
    messages: [{ role: "user", content: "hi" }],
    structured_outputs: { grammar: 'root ::= "a" | "b" root', whitespace_pattern: " ?" },
    continue_final_message: true,
    add_generation_prompt: false,
  },
];

const text = (value: string) => ({ type: "text", text: value });

export const MESSAGES_BODY: readonly object[] = [
  {
    model: "demo",
    max_tokens: 9,
    system: [text("be brief")],
    messages: [
      { role: "user", content: [text("Oslo?")] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "look", signature: "x" },
          { type: "tool_use", id: "c1", name: "weather", input: { city: "Oslo", n: 1.5 } },
        ],
      },
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: "c1", content: [text("rain")], is_error: true }],
      },
    ],
    tools: [{ name: "weather", description: "the weather", input_schema: schema }],
    tool_choice: { type: "auto", disable_parallel_tool_use: true },
    thinking: { type: "enabled", budget_tokens: 1024 },
    output_config: { effort: "low", format: { type: "json_schema", schema } },
    stop_sequences: ["x"],
    metadata: { user_id: "u" },
  },
];

export const RESPONSES_BODY: readonly object[] = [
  {
    model: "demo",
    max_output_tokens: 9,
    instructions: "be brief",
    input: [
      { role: "user", content: [{ type: "input_text", text: "Oslo?" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "look" }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "One moment", annotations: [] }] },
      { type: "function_call", call_id: "c1", name: "weather", arguments: '{"city":"Oslo"}' },
      { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "rain" }] },
    ],
    tools: [{ type: "function", ...weather }],
    tool_choice: "auto",
    text: { format: { type: "json_schema", name: "x", schema }, verbosity: "low" },
    reasoning: { effort: "low", summary: "auto" },
    include: ["message.output_text.logprobs"],
    top_logprobs: 2,
    metadata: { a: "b" },
    previous_response_id: null,
  },
  { model: "demo", input: "hi", truncation: "auto", store: false, stream: true },
];

/** Keys and texts of all of these APIs. */
export const WORDS: readonly string[] = [
  ..."messages content role tool_calls function arguments parameters tools tool_choice response_format json_schema schema strict".split(
    " ",
  ),
  ..."type text input input_text output_text tool_use tool_result thinking system user assistant tool developer".split(
    " ",
  ),
  ..."properties required items enum const anyOf allOf oneOf $ref $defs pattern minimum maxItems additionalProperties".split(
    " ",
  ),
  ..."adapter data sha256 weights model prompt stop n best_of logprobs logit_bias structured_outputs choice regex grammar".split(
    " ",
  ),
  ..."auto none required any json_object object array string integer number boolean null".split(" "),
];
