/** Grammars of answers, as a request brings them. The server checks them before anything is queued. */
import { checkGrammar } from "../../src/grammar/check-grammar.ts";
import type { GrammarKind } from "../../src/grammar/grammar-spec.ts";
import { damagedJson } from "../inputs/json.ts";
import type { Random } from "../inputs/random.ts";
import { damagedText } from "../inputs/text.ts";
import type { Target } from "../target.ts";

/** The check runs beside answers that are being sent. */
const MAX_CHECK_SECONDS = 4;

function grammarTarget(kind: GrammarKind, makeInput: (random: Random) => Uint8Array): Target {
  return {
    name: `grammar-${kind}`,
    makeInput,
    read: (input) => checkGrammar({ kind, text: Buffer.from(input).toString("utf8") }),
    maxSeconds: MAX_CHECK_SECONDS,
  };
}

const SCHEMAS = [
  {
    $defs: { node: { type: "object", properties: { value: { type: "number" }, next: { $ref: "#/$defs/node" } } } },
    type: "object",
    properties: {
      name: { type: "string", pattern: "^[a-z]{1,5}$", minLength: 1 },
      kind: { enum: ["a", 1, null, { x: [1] }] },
      when: { type: "string", format: "date-time" },
      list: { type: "array", items: { $ref: "#/$defs/node" }, minItems: 1, maxItems: 4 },
      size: { type: "integer", minimum: -5, exclusiveMaximum: 1200 },
    },
    required: ["name", "list"],
    additionalProperties: false,
  },
  {
    anyOf: [
      { type: "array", prefixItems: [{ const: "x" }, { type: "boolean" }], items: false },
      { allOf: [{ type: "object", properties: { a: { type: "number", multipleOf: 0.5 } } }, { required: ["a"] }] },
      { oneOf: [{ type: "string", maxLength: 3 }, { type: "integer" }] },
    ],
  },
  {
    type: ["object", "null"],
    patternProperties: { "^x": { type: "integer" } },
    additionalProperties: { type: "string" },
  },
];
const SCHEMA_WORDS =
  "type object array string number integer boolean null properties required items prefixItems additionalProperties patternProperties minItems maxItems minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum multipleOf pattern format date uuid email enum const anyOf allOf oneOf not if then else $ref #/$defs/node # $defs definitions minProperties maxProperties uniqueItems contains dependentRequired unevaluatedProperties propertyNames".split(
    " ",
  );
const REGEXES = [
  "^[a-c]{1,3}(x|yz)*\\d+$",
  "(?:ab|cd){2,}[^\\s\\w]?\\u{1F600}",
  "(a(b(c)?)+)*\\.\\/[\\w-]+@[\\p{L}]{2,20}",
  "[\\x41-\\x5a\\n]|\\bfoo\\b|(?=x)y|(?<n>z)",
];
const REGEX_WORDS =
  "( ) (?: (?= (?! [ [^ ] { } {1,3} {0,1000} {999,} {,5} * + ? *? | ^ $ . \\ \\d \\w \\s \\b \\p{L} \\u{ \\x a-z - 9 \\1".split(
    " ",
  );
const GBNFS = [
  'root ::= item ("," item)*\nitem ::= [a-z]+ | "(" root ")"\n# note\n',
  'root ::= "a" b{2,4} | c?\nb ::= [^\\n\\x00-\\x1f"] \nc ::= "\\u00e9" root "x"\n',
  'start: root ;\nroot ::= ( "x" | "y" ) + digit\ndigit ::= [0-9]\n',
];
const GBNF_WORDS = 'root ::= | ( ) [ ] [^ " * + ? {2} {1,} {,1000} # \n \\x \\u a-z item b . ; : , <[1]> !<[2]>'.split(
  " ",
);
const TAGS = [
  {
    type: "structural_tag",
    format: {
      type: "triggered_tags",
      triggers: ["<f="],
      tags: [{ begin: "<f=a>", content: { type: "json_schema", json_schema: { type: "object" } }, end: "</f>" }],
      at_least_one: true,
      stop_after_first: false,
    },
  },
  {
    type: "structural_tag",
    format: {
      type: "sequence",
      elements: [
        { type: "const_string", value: "x" },
        { type: "any_text" },
        {
          type: "or",
          elements: [
            { type: "regex", pattern: "a+" },
            { type: "grammar", grammar: 'root ::= "b"' },
          ],
        },
      ],
    },
  },
  {
    structures: [{ begin: "<a>", schema: { type: "object", properties: { x: { type: "integer" } } }, end: "</a>" }],
    triggers: ["<a"],
  },
];
const TAG_WORDS =
  "type format structural_tag triggered_tags tags_with_separator tag begin end content triggers tags json_schema regex pattern grammar any_text const_string value sequence or elements separator excludes at_least_one stop_after_first".split(
    " ",
  );
const text = (texts: readonly string[], words: readonly string[]) => (random: Random) =>
  Buffer.from(damagedText(random.one(texts), random.one(texts), words, random));

export const GRAMMAR_TARGETS: readonly Target[] = [
  grammarTarget("json-schema", (random) => damagedJson(random.one(SCHEMAS), SCHEMA_WORDS, random)),
  grammarTarget("regex", text(REGEXES, REGEX_WORDS)),
  grammarTarget("gbnf", text(GBNFS, GBNF_WORDS)),
  grammarTarget("structural-tag", (random) => damagedJson(random.one(TAGS), TAG_WORDS, random)),
  grammarTarget("choice", (random) => damagedJson(["yes", "no", "per\u0000haps", "maybe so"], ["yes", ""], random)),
];
