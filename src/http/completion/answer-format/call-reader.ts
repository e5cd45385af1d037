/**
 * Reads the JSON object of one call, character by character as it is generated: its name, and the text of its
 * arguments. The characters that were read can be returned as text, as long as no call has begun.
 */
import type { CallFormat } from "./call-format.ts";

/** The state after a piece: the call continues, is complete, or is not a call. */
export type CallState = "open" | "complete" | "malformed";

export class CallReader {
  readonly #argumentsKey: string;
  readonly #onName: (name: string) => boolean;
  readonly #onArguments: (text: string) => void;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** Text of the value or the key that is being read. */
  #token = "";
  #key: string | null = null;
  #isNamed = false;
  /** Arguments that stand before the name. */
  #early: string | null = null;
  #hasArguments = false;

  /** @param onName whether a tool has this name */
  constructor(
    { argumentsKey }: Pick<CallFormat, "argumentsKey">,
    onName: (name: string) => boolean,
    onArguments: (text: string) => void,
  ) {
    this.#argumentsKey = argumentsKey;
    this.#onName = onName;
    this.#onArguments = onArguments;
  }

  /** Number of brackets that are open. */
  get depth(): number {
    return this.#depth;
  }

  /** @param char one character after the white space before the object */
  push(char: string): CallState {
    if (this.#depth === 0) return this.#open(char);
    if (this.#isInString) return this.#inString(char);
    if (char === '"') {
      this.#isInString = true;
      return this.#value(char);
    }
    if (this.#depth > 1) return this.#nested(char);
    return this.#member(char);
  }

  #open(char: string): CallState {
    if (char !== "{") return "malformed";
    this.#depth = 1;
    return "open";
  }

  #inString(char: string): CallState {
    this.#value(char);
    if (this.#isEscaped) this.#isEscaped = false;
    else if (char === "\\") this.#isEscaped = true;
    else if (char === '"') this.#isInString = false;
    return "open";
  }

  #nested(char: string): CallState {
    if (char === "{" || char === "[") this.#depth += 1;
    if (char === "}" || char === "]") this.#depth -= 1;
    return this.#value(char);
  }

  /** A character between the members of the object itself, outside of strings. */
  #member(char: string): CallState {
    if (char === ":") {
      if (this.#key !== null) return "malformed";
      this.#key = parsed(this.#token) as string | null;
      if (typeof this.#key !== "string" || this.#isRepeated()) return "malformed";
      this.#token = "";
      return "open";
    }
    if (char === "," || char === "}") {
      if (this.#key === null) return char === "}" && this.#token.trim() === "" ? this.#end() : "malformed";
      if (!this.#endMember()) return "malformed";
      return char === "}" ? this.#end() : "open";
    }
    if (char === "{" || char === "[") this.#depth += 1;
    if (char === "]") return "malformed";
    return this.#value(char);
  }

  /** Two members with arguments would be passed on as one text. */
  #isRepeated(): boolean {
    return this.#key === this.#argumentsKey && (this.#hasArguments || this.#early !== null);
  }

  /**
   * Whether arguments are being read. Their text is passed on as it arrives. If they are a string of JSON text, that
   * string is passed on when it is complete.
   */
  #isStreamed(): boolean {
    return this.#key === this.#argumentsKey && !this.#token.startsWith('"');
  }

  #value(char: string): CallState {
    const isSpace = !this.#isInString && this.#depth === 1 && /\s/.test(char); // between members
    if (isSpace) return "open";
    this.#token += char;
    if (this.#isStreamed()) {
      if (this.#isNamed) this.#passOn(char);
      else this.#early = (this.#early ?? "") + char;
    }
    return "open";
  }

  #passOn(text: string): void {
    this.#hasArguments = true;
    this.#onArguments(text);
  }

  #endMember(): boolean {
    const [key, text] = [this.#key, this.#token];
    [this.#key, this.#token] = [null, ""];
    const value = parsed(text);
    if (value === undefined) return false;
    if (key === "name") {
      if (typeof value !== "string" || this.#isNamed || !this.#onName(value)) return false;
      this.#isNamed = true;
      if (this.#early !== null) this.#passOn(this.#early);
      this.#early = null;
    } else if (key === this.#argumentsKey && typeof value === "string") {
      if (this.#isNamed) this.#passOn(value);
      else this.#early = value;
    }
    return true;
  }

  #end(): CallState {
    if (!this.#isNamed) return "malformed";
    if (!this.#hasArguments) this.#passOn("{}");
    return "complete";
  }
}

/** undefined: the text is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
