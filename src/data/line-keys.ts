/**
 * Keys of training lines that other programs read and that change the training.
 * A line with one of them is refused by name, because its author expects an effect that would not happen.
 * Descriptive keys (id, source, category …) are accepted.
 */

type Fail = (reason: string) => never;
type Json = Readonly<Record<string, unknown>>;

/** A key that contains one of these words selects what the loss counts. */
const LOSS_WORDS: ReadonlySet<string> = new Set([
  "loss",
  "losses",
  "mask",
  "masks",
  "masked",
  "masking",
  "train",
  "training",
  "trainable",
  "learn",
  "learnable",
  "weight",
  "weights",
  "ignore",
  "ignored",
  "skip",
  "skipped",
  "exclude",
  "excluded",
]);
const USE_WEIGHT =
  'Write "weight": 0 on the messages of the assistant that are not to be learnt, or leave the key out.';
const USE_KWARGS = 'Give what the chat template reads as "chat_template_kwargs": {…}, or leave the key out.';
const USE_TOOLS = 'Write "tools": [{"type": "function", "function": {…}}], and calls as "tool_calls" of a message.';
const USE_SYSTEM = 'Write it as a message of the role "system", or as "system" beside a conversation.';
const USE_TEXT = "Models here read only text. Leave the line out.";
const USE_COMPLETION =
  "Preferences are learnt as pairs, with --objective dpo. To learn from examples, write only the wanted answer, as completion.";

/** Other such keys, each with the alternative. */
const MEANINGS: Readonly<Record<string, string>> = {
  functions: USE_TOOLS,
  function_call: USE_TOOLS,
  documents: USE_KWARGS,
  chat_template: USE_KWARGS,
  enable_thinking: USE_KWARGS,
  reasoning_effort: USE_KWARGS,
  system_prompt: USE_SYSTEM,
  system_message: USE_SYSTEM,
  chosen: USE_COMPLETION,
  rejected: USE_COMPLETION,
  completions: USE_COMPLETION,
  preferred_output: USE_COMPLETION,
  non_preferred_output: USE_COMPLETION,
  labels: USE_COMPLETION,
  kto_tag: USE_COMPLETION,
  input_ids: "Give the text. It is encoded with the model's own tokenizer.",
  suffix: "Filling in the middle is not learnt here. Leave the line out.",
  attachments: USE_TEXT,
  file: USE_TEXT,
  files: USE_TEXT,
  image: USE_TEXT,
  image_url: USE_TEXT,
  input_audio: USE_TEXT,
  images: USE_TEXT,
  audio: USE_TEXT,
  audios: USE_TEXT,
  video: USE_TEXT,
  videos: USE_TEXT,
};

/**
 * @param path path of the object in its line; "" for the line itself
 * @param heeded keys that this object may have
 */
export function refuseUnknownMeaning(object: Json, path: string, fail: Fail, heeded: readonly string[] = []): void {
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined || value === null || heeded.includes(key)) continue;
    const advice = adviceOn(key, value);
    if (advice !== undefined)
      fail(`"${path === "" ? key : `${path}.${key}`}" changes what is learnt and is not known here. ${advice}`);
  }
}

function adviceOn(key: string, value: unknown): string | undefined {
  if (Object.hasOwn(MEANINGS, key)) return MEANINGS[key];
  // A boolean label is TRL's unpaired preference: whether the completion is wanted. Other labels are classes.
  if (key === "label" && typeof value === "boolean") return USE_COMPLETION;
  // A weight of 1 changes nothing.
  if (key === "weight" && value === 1) return undefined;
  const words = key
    .replaceAll(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z]+/);
  return words.some((word) => LOSS_WORDS.has(word)) ? USE_WEIGHT : undefined;
}
