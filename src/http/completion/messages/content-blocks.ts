/** The content blocks of a message: collects parts into blocks, and makes the events that stream them. */
import type { AnswerPart } from "../answer/answer-part.ts";

/** A block that is being written. `text` is its text, its thinking, or the JSON text of a call's arguments. */
interface OpenBlock {
  readonly type: "text" | "thinking" | "tool_use";
  readonly start: object;
  text: string;
}

const START_OF = { text: { type: "text", text: "", citations: null }, reasoning: { type: "thinking", thinking: "" } };

export class ContentBlocks {
  readonly #blocks: OpenBlock[] = [];
  /** Opaque to clients. They return it with the thinking. */
  readonly #signature: string;
  #isOpen = false;

  /** @param signature of thinking blocks */
  constructor(signature: string) {
    this.#signature = signature;
  }

  /** @returns the events that the part adds to a stream */
  add(part: AnswerPart): readonly object[] {
    if (part.type === "tool-call") {
      const { id, name } = part;
      return this.#open("tool_use", { type: "tool_use", id, name, input: {}, caller: { type: "direct" } });
    }
    if (part.type === "tool-arguments") return [this.#write(part.text)];
    const type = part.type === "text" ? "text" : "thinking";
    const isSame = this.#isOpen && this.#blocks.at(-1)?.type === type;
    const start = part.type === "text" ? START_OF.text : { ...START_OF.reasoning, signature: "" };
    return [...(isSame ? [] : this.#open(type, start)), this.#write(part.text)];
  }

  /** Closes the last block. */
  close(): readonly object[] {
    if (!this.#isOpen) return [];
    this.#isOpen = false;
    const index = this.#blocks.length - 1;
    const stop = { type: "content_block_stop", index };
    if (this.#blocks[index]?.type !== "thinking") return [stop];
    const delta = { type: "signature_delta", signature: this.#signature };
    return [{ type: "content_block_delta", index, delta }, stop];
  }

  /** The blocks of an unstreamed answer. */
  whole(): readonly object[] {
    return this.#blocks.map(({ type, start, text }) => {
      if (type === "text") return { ...start, text };
      if (type === "thinking") return { ...start, thinking: text, signature: this.#signature };
      return { ...start, input: inputOf(text) };
    });
  }

  #open(type: OpenBlock["type"], start: object): object[] {
    const events = [...this.close()];
    this.#blocks.push({ type, start, text: "" });
    this.#isOpen = true;
    return [...events, { type: "content_block_start", index: this.#blocks.length - 1, content_block: start }];
  }

  #write(text: string): object {
    const index = this.#blocks.length - 1;
    const block = this.#blocks[index];
    if (!block) throw new Error("internal: a part of an answer came before its beginning");
    block.text += text;
    return { type: "content_block_delta", index, delta: deltaOf(block.type, text) };
  }
}

function deltaOf(type: OpenBlock["type"], text: string): object {
  if (type === "text") return { type: "text_delta", text };
  if (type === "thinking") return { type: "thinking_delta", thinking: text };
  return { type: "input_json_delta", partial_json: text };
}

/** The input of a call. Arguments that are not JSON stay the text that the model wrote. */
function inputOf(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    return text;
  }
}
