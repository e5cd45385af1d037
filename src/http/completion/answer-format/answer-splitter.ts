/**
 * Splits an answer, as it is generated, into text, reasoning and tool calls. Text that may begin a mark is held back. A
 * call that is malformed, or names no tool, stays text. Knows nothing of the APIs' JSON shapes.
 */
import { type AnswerPart, joinParts } from "../answer/answer-part.ts";
import type { ChoiceEvent } from "../generation.ts";
import { ARGUMENTS_MARK, type CallFormat, newCallId } from "./call-format.ts";
import { CallReader, type CallState } from "./call-reader.ts";
import { NamedArguments } from "./named-arguments.ts";
import type { ReasoningFormat, ReasoningStart } from "./reasoning-format.ts";

export interface SplitterOptions {
  /** null: calls are not looked for. */
  readonly calls: CallFormat | null;
  readonly toolNames: ReadonlySet<string>;
  /** false: only the first call is passed on. */
  readonly isParallel: boolean;
  /** null: reasoning is not looked for. */
  readonly reasoning: ReasoningFormat | null;
  readonly start: ReasoningStart;
}

type Mode = "begin" | "reasoning" | "text" | "calls" | "object" | "name" | "after-call";

export class AnswerSplitter {
  readonly #options: SplitterOptions;
  #mode: Mode;
  /** Whether reasoning may still begin. */
  #mayReason: boolean;
  #hasReasoned = false;
  /** Line ends after reasoning belong to neither part. */
  #isAfterReasoning = false;
  /** Text that is not decided yet. */
  #held = "";
  /** The text of a possible call, until the call has begun. */
  #raw = "";
  #reader: { push(char: string): CallState } | null = null;
  #numCalls = 0;
  #hasBegunCall = false;
  #parts: AnswerPart[] = [];

  constructor(options: SplitterOptions) {
    this.#options = options;
    this.#mode = options.reasoning !== null && options.start === "open" ? "reasoning" : "begin";
    this.#mayReason = options.reasoning !== null && options.start === "none";
  }

  get isReasoning(): boolean {
    return this.#mode === "reasoning";
  }

  get hasCalls(): boolean {
    return this.#numCalls > 0;
  }

  /** Returns the parts that an event of a sequence adds. */
  add(event: ChoiceEvent): readonly AnswerPart[] {
    if (event.type === "token") return this.push(event.token.text);
    if (event.type !== "finished") return [];
    return [...this.push(event.text), ...this.end()];
  }

  push(text: string): readonly AnswerPart[] {
    this.#held += text;
    while (this.#step());
    return this.#taken();
  }

  /** Returns the parts that are left when the answer ends. */
  end(): readonly AnswerPart[] {
    if (this.#mode === "reasoning") this.#emit("reasoning", this.#held);
    else if (this.#mode === "begin" || this.#mode === "text") this.#emit("text", this.#held);
    else if (this.#mode === "after-call") this.#endAfterCall();
    else if (!this.#hasBegunCall) this.#emit("text", this.#raw + this.#held);
    [this.#held, this.#raw] = ["", ""];
    return this.#taken();
  }

  /** The end of a block that was cut off is not text. */
  #endAfterCall(): void {
    const rest = this.#afterClose();
    const isClose = this.#options.calls?.close.trim().startsWith(rest.trim()) === true;
    if (rest.trim() !== "" && !isClose) this.#emit("text", rest);
  }

  #taken(): readonly AnswerPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return joinParts(parts);
  }

  /** Decides as much of the held text as one mode can. @returns whether another step may decide more */
  #step(): boolean {
    switch (this.#mode) {
      case "begin":
        return this.#begin();
      case "reasoning":
        return this.#reason();
      case "text":
        return this.#text();
      case "calls":
        return this.#calls();
      case "object":
        return this.#object();
      case "name":
        return this.#name();
      case "after-call":
        return this.#afterCall();
    }
  }

  /** At the start of the answer, white space may precede reasoning, or a call without a mark. */
  #begin(): boolean {
    const { reasoning, calls } = this.#options;
    if (this.#isAfterReasoning) this.#held = this.#held.replace(/^\n+/, "");
    if (this.#held === "") return false;
    this.#isAfterReasoning = false;
    const rest = this.#held.trimStart();
    const begin = this.#mayReason ? (reasoning?.begin ?? null) : null;
    if (begin !== null && rest.startsWith(begin)) {
      this.#held = rest.slice(begin.length);
      this.#mode = "reasoning";
      this.#mayReason = false;
      return true;
    }
    const bare = calls?.mark === "" ? [calls.prefix, "{"] : [];
    const awaited = [...(begin === null ? [] : [begin]), ...bare];
    if (bare.some((mark) => rest !== "" && rest.startsWith(mark))) return this.#beginCalls(rest);
    if (awaited.some((mark) => mark.startsWith(rest))) return false;
    this.#mode = "text";
    return true;
  }

  #beginCalls(rest: string): boolean {
    const prefix = this.#options.calls?.prefix ?? "";
    this.#raw = this.#held.slice(0, this.#held.length - rest.length);
    this.#held = rest;
    if (prefix !== "" && rest.startsWith(prefix)) this.#move(prefix.length);
    this.#mode = "calls";
    return true;
  }

  #reason(): boolean {
    const end = this.#options.reasoning?.end ?? "";
    const at = this.#held.indexOf(end);
    if (at < 0) {
      this.#emit("reasoning", this.#released(end));
      return false;
    }
    this.#emit("reasoning", this.#held.slice(0, at).replace(/\n+$/, ""));
    this.#held = this.#held.slice(at + end.length);
    this.#isAfterReasoning = true;
    this.#mode = "begin";
    return true;
  }

  #text(): boolean {
    const mark = this.#options.calls?.mark ?? "";
    if (mark === "") {
      this.#emit("text", this.#held);
      this.#held = "";
      return false;
    }
    const at = this.#held.indexOf(mark);
    if (at < 0) {
      this.#emit("text", this.#released(mark));
      return false;
    }
    const before = this.#held.slice(0, at);
    this.#emit("text", before.trimEnd());
    this.#raw = before.slice(before.trimEnd().length);
    this.#held = this.#held.slice(at);
    this.#hasBegunCall = false;
    this.#move(mark.length);
    this.#mode = this.#options.calls?.shape === "named" ? "name" : "calls";
    return true;
  }

  /** Before an object, there may be white space, the bracket of a list, or a comma. */
  #calls(): boolean {
    const rest = this.#held.replace(/^[\s[,;]+/, "");
    this.#move(this.#held.length - rest.length);
    if (rest === "") return false;
    this.#hasBegunCall = false;
    this.#reader = this.#newReader();
    this.#mode = "object";
    return true;
  }

  #object(): boolean {
    for (const char of this.#held) {
      const state = this.#reader?.push(char) ?? "malformed"; // this mode has a reader
      this.#move(char.length);
      if (state === "malformed") return this.#giveBack();
      if (state === "complete") {
        this.#mode = "after-call";
        return true;
      }
    }
    return false;
  }

  /** `[TOOL_CALLS]name[ARGS]{…}` */
  #name(): boolean {
    const at = this.#held.indexOf(ARGUMENTS_MARK);
    if (at < 0) return false;
    const name = this.#held
      .slice(0, at)
      .replace(/\[CALL_ID\].*$/s, "")
      .trim();
    this.#hasBegunCall = false;
    this.#move(at + ARGUMENTS_MARK.length);
    // Only the arguments are read, as a member of an object whose name is already known.
    const reader = this.#newReader();
    const isKnown = [...`{"name":${JSON.stringify(name)},"arguments":`].every((char) => reader.push(char) === "open");
    if (!isKnown || !this.#hasBegunCall) return this.#giveBack();
    this.#reader = new NamedArguments(reader);
    this.#mode = "object";
    return true;
  }

  /** After a call: the end of a block or a list, another call, or text. */
  #afterCall(): boolean {
    const { calls } = this.#options;
    const [mark, close] = [calls?.mark ?? "", calls?.close.trim() ?? ""];
    const rest = this.#afterClose();
    const next = rest.trimStart();
    const mayBe = (text: string): boolean => text !== "" && text !== next && text.startsWith(next);
    if (next === "" || mayBe(close) || mayBe(mark)) return false;
    const isCall = /^[,;]/.test(next) || (mark === "" && next.startsWith("{"));
    this.#held = isCall || (mark !== "" && next.startsWith(mark)) ? next : rest;
    this.#raw = "";
    this.#mode = isCall ? "calls" : "text";
    return true;
  }

  /** The held text without the end of a list and of a block. */
  #afterClose(): string {
    const { calls } = this.#options;
    const close = calls?.close.trim() ?? "";
    const ends = [...(calls?.shape === "list" ? ["]"] : []), ...(close === "" ? [] : [close])];
    return ends.reduce(
      (text, end) => (text.trimStart().startsWith(end) ? text.trimStart().slice(end.length) : text),
      this.#held,
    );
  }

  #newReader(): CallReader {
    const { calls, toolNames, isParallel } = this.#options;
    const index = this.#numCalls;
    const isSent = isParallel || index === 0;
    return new CallReader(
      { argumentsKey: calls?.argumentsKey ?? "arguments" },
      (name) => {
        if (!toolNames.has(name)) return false;
        [this.#hasBegunCall, this.#raw] = [true, ""];
        this.#numCalls += 1;
        if (isSent) this.#parts.push({ type: "tool-call", index, id: newCallId(calls), name });
        return true;
      },
      (text) => {
        if (isSent) this.#parts.push({ type: "tool-arguments", index, text });
      },
    );
  }

  /** The possible call is text, from its mark on. A call that has begun cannot be taken back. */
  #giveBack(): boolean {
    if (!this.#hasBegunCall) this.#emit("text", this.#raw);
    this.#raw = "";
    this.#mode = "text";
    return this.#held !== "";
  }

  /** Moves characters from the held text to the text of the possible call. */
  #move(count: number): void {
    if (!this.#hasBegunCall) this.#raw += this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
  }

  /** Returns held text that cannot begin the mark. The rest, with white space before a mark, stays held. */
  #released(mark: string): string {
    const text = this.#held;
    let keep = Math.min(mark.length - 1, text.length);
    while (keep > 0 && !text.endsWith(mark.slice(0, keep))) keep--;
    const released = text.slice(0, text.length - keep).trimEnd();
    this.#held = text.slice(released.length);
    return released;
  }

  #emit(type: "text" | "reasoning", text: string): void {
    const isFirst = type === "reasoning" && !this.#hasReasoned;
    const shown = isFirst ? text.replace(/^\n+/, "") : text;
    if (shown === "") return;
    if (type === "reasoning") this.#hasReasoned = true;
    this.#parts.push({ type, text: shown });
  }
}
