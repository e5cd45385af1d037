/**
 * Notices on text prompts of a training set. They are joined with their completions directly, and no chat template
 * renders them. This may be intended, but a mistake is hard to see. The first such example is therefore shown as the
 * model sees it.
 */
import type { EncodedExample, ExampleEncoder } from "./encode.ts";
import type { Example } from "./examples.ts";

/** Characters of a long text shown on either side of the joint. */
const SHOWN_CHARACTERS = 120;
/** Scripts that have no separator between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/** An example with its ids. */
export interface JoinedExample {
  readonly example: Example;
  readonly encoded: EncodedExample;
}

/** One or more sentences about the examples; null where no notice is needed. */
export function joinNotice(all: readonly JoinedExample[], encoder: ExampleEncoder): string | null {
  const joined = all.filter(({ example }) => example.form === "prompt");
  const tight = joined.filter((one) => isTight(one, encoder));
  const [first] = tight.length > 0 ? tight : encoder.hasChatTemplate ? joined : [];
  if (first === undefined) return null;
  const of = `of ${all.length} training examples`;
  const { file, line } = first.example;
  const parts = [
    tight.length > 0
      ? `${tight.length} ${of} join prompt and completion without white space. They are joined as they are. If the words should be apart, begin the completions with a space.`
      : "",
    encoder.hasChatTemplate
      ? `${joined.length} ${of} are prompts as text, which the model's chat template does not render. For an adapter that will answer chats, write {"messages": …}.`
      : "",
    `The first one, ${file}, line ${line}, as the model sees it: ${quoted(asSeen(first, encoder))}`,
  ];
  return parts.filter((part) => part !== "").join(" ");
}

interface Halves {
  readonly before: string;
  readonly after: string;
}

/**
 * The text of the ids. It is split only afterwards, because a tokenizer may add a space between the halves by itself.
 */
function asSeen({ encoded: { ids, lossMask } }: JoinedExample, { tokenizer }: ExampleEncoder): Halves {
  const text = (some: Int32Array): string => tokenizer.decode(some, { skipSpecialTokens: false });
  const whole = text(ids);
  const before = text(ids.subarray(0, Math.max(0, lossMask.indexOf(1))));
  const length = whole.startsWith(before) ? before.length : 0;
  return { before: whole.slice(0, length), after: whole.slice(length) };
}

/** Whether the halves are joined without any separator: no white space, no special token, no script that needs none. */
function isTight(one: JoinedExample, encoder: ExampleEncoder): boolean {
  if (one.example.form !== "prompt" || one.example.prompt === "" || one.example.completion === "") return false;
  const { ids, lossMask } = one.encoded;
  const start = lossMask.indexOf(1);
  if (start < 1 || [ids[start - 1], ids[start]].some((id) => encoder.tokenizer.isSpecial(id ?? -1))) return false;
  const { before, after } = asSeen(one, encoder);
  const sides = [Array.from(before.slice(-2)).at(-1), Array.from(after.slice(0, 2))[0]];
  return sides.every((side) => side !== undefined && !/\s/.test(side) && !UNSPACED.test(side));
}

function quoted({ before, after }: Halves): string {
  const start = before.length > SHOWN_CHARACTERS ? `…${before.slice(-SHOWN_CHARACTERS)}` : before;
  const end = after.length > SHOWN_CHARACTERS ? `${after.slice(0, SHOWN_CHARACTERS)}…` : after;
  return `${JSON.stringify(start)} + ${JSON.stringify(end)}`;
}
