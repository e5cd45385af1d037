/**
 * The rule by which tokens become text, read from the decoder of tokenizer.json. An unknown decoder is refused, and the
 * error names it.
 */
import { quote } from "../../errors.ts";
import type { DecoderRule } from "../stream-decoder.ts";
import { isObject } from "./tokenizer-config.ts";

type Json = Record<string, unknown>;
type Refuse = (what: string) => never;

/** @param decoder of tokenizer.json; null: none @param refuse throws for a decoder that is not known */
export function decoderRule(decoder: unknown, refuse: Refuse): DecoderRule {
  if (decoder === null) return { kind: "words", prefix: undefined, hasCleanup: false };
  if (!isObject(decoder)) return refuse(`the decoder ${quote(decoder)}`);
  const steps =
    decoder.type === "Sequence" && Array.isArray(decoder.decoders) ? (decoder.decoders as Json[]) : [decoder];
  const stray = steps.find((step) => !isObject(step));
  if (stray !== undefined) return refuse(`the decoder step ${quote(stray)}`);
  const [only] = steps;
  if (steps.length === 1 && only?.type === "ByteLevel") return { kind: "byte-level" };
  if (steps.length === 1 && only?.type === "WordPiece") {
    return {
      kind: "words",
      prefix: typeof only.prefix === "string" ? only.prefix : "##",
      hasCleanup: only.cleanup !== false,
    };
  }
  if (steps.length === 1 && only?.type === "BPEDecoder")
    return { kind: "suffixes", suffix: typeof only.suffix === "string" ? only.suffix : "</w>" };
  return pieceRule(steps, refuse);
}

/** Decoder sequences in the style of SentencePiece: a space mark, byte tokens, fusing, one strip at the start. */
function pieceRule(steps: readonly Json[], refuse: Refuse): DecoderRule {
  const rule = {
    kind: "pieces" as const,
    space: undefined as string | undefined,
    hasByteTokens: false,
    stripSpaces: 0,
    isMetaspace: false,
    dropsFirstSpaces: false,
  };
  const names = steps.map((step) => String(step.type));
  const order = ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"];
  const isOrdered = names.every(
    (name, i) => order.includes(name) && (i === 0 || order.indexOf(name) > order.indexOf(names[i - 1] ?? "")),
  );
  if (!isOrdered || steps.length === 0) return refuse(namedSteps(names));
  for (const step of steps) {
    if (step.type === "Replace") {
      const pattern = isObject(step.pattern) ? step.pattern.String : undefined;
      if (typeof pattern !== "string" || pattern === "" || step.content !== " ")
        return refuse(`the decoder Replace ${quote(step)}`);
      rule.space = pattern;
    } else if (step.type === "ByteFallback") rule.hasByteTokens = true;
    else if (step.type === "Strip") {
      if (step.content !== " " || (step.stop ?? 0) !== 0 || typeof step.start !== "number" || !names.includes("Fuse"))
        return refuse(`the decoder Strip ${quote(step)}`);
      rule.stripSpaces = step.start;
    } else if (step.type === "Metaspace") {
      if (rule.space !== undefined || names.includes("Fuse")) return refuse(namedSteps(names));
      rule.space = typeof step.replacement === "string" ? step.replacement : "\u2581";
      rule.isMetaspace = true;
      // Files before tokenizers 0.15 have add_prefix_space instead of prepend_scheme.
      rule.dropsFirstSpaces =
        (step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always")) !== "never";
    }
  }
  return rule;
}

function namedSteps(names: readonly string[]): string {
  return names.length === 0 ? "the decoder without steps" : `the decoder steps ${quote(names)}`;
}
