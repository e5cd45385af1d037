/**
 * A grammar that an answer must obey, as plain data. The server checks it, and the engine's process compiles and binds
 * it. Types only.
 */

/**
 * The language of `text`:
 * - `json-object`: any JSON object; the text is empty.
 * - `json-schema`: the JSON text of a JSON Schema.
 * - `regex`: a regular expression in JavaScript's syntax, which the whole answer matches.
 * - `choice`: a JSON array of strings, one of which is the answer.
 * - `gbnf`: rules as llama.cpp writes them, or in EBNF; the rule `root` is the answer.
 * - `structural-tag`: the JSON text of a structural tag as vLLM and XGrammar define it (`{"type": "structural_tag",
 *   "format": …}`, or `{"structures": […], "triggers": […]}`). In its marks (begin, end, trigger, const_string) the
 *   spelling of a special token is that token.
 */
export type GrammarKind = "json-object" | "json-schema" | "regex" | "choice" | "gbnf" | "structural-tag";

/** One grammar. Equal specifications share everything that is computed for them. */
export interface GrammarSpec {
  readonly kind: GrammarKind;
  readonly text: string;
  /**
   * Regular expression of the white space between the parts of JSON; absent: at most one space after a comma and a
   * colon.
   */
  readonly whitespace?: string;
}
