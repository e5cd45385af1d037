/** Fields that bind an answer to a grammar, of every server that has one. `http/completion/grammar.ts` reads them. */
import { both, empty, type Field, harmless, heeded, is, refused, type Treatment } from "./field.ts";

const LAZY = 'Send a structural tag with triggers in "structured_outputs".';

export const GRAMMAR_FIELDS: readonly Field[] = [
  ...both(["OpenAI", "vLLM", "llama.cpp"], {
    response_format: heeded("text, json_object, json_schema or structural_tag. See the nested fields."),
  }),
  ...both(["vLLM"], {
    structured_outputs: heeded("Binds the answer: json, regex, choice, grammar, json_object or structural_tag."),
    guided_json: heeded("The answer is JSON of this schema."),
    guided_regex: heeded("The whole answer matches this regular expression."),
    guided_choice: heeded("The answer is one of these strings."),
    guided_grammar: heeded("The answer obeys this grammar, in GBNF or EBNF."),
    guided_json_object: heeded("The answer is a JSON object."),
    guided_whitespace_pattern: heeded("Regular expression of the white space in JSON."),
    guided_decoding_backend: harmless("The server has one way to bind answers."),
    structural_tag: heeded("The answer obeys this structural tag, as JSON text."),
  }),
  ...both(["SGLang"], {
    regex: heeded("The whole answer matches this regular expression."),
    ebnf: heeded("The answer obeys this grammar, in GBNF or EBNF."),
  }),
  ...both(["llama.cpp", "SGLang"], {
    json_schema: heeded("The answer is JSON of this schema, given as an object or as JSON text."),
  }),
  ...both(["llama.cpp"], {
    grammar: heeded("The answer obeys this grammar, in GBNF."),
    grammar_lazy: refused(is(false), LAZY),
    grammar_triggers: refused(empty, LAZY),
  }),
];

/** Fields of the objects among them. */
export const NESTED_GRAMMAR_FIELDS: Readonly<Record<string, Readonly<Record<string, Treatment>>>> = {
  response_format: {
    type: heeded("text, json_object, json_schema or structural_tag."),
    json_schema: heeded("An object with the schema's name, and the schema under schema."),
    schema: heeded("The schema, in the place where llama.cpp's server expects it."),
    format: heeded("The format of a structural_tag."),
    structures: heeded("A part of a structural_tag in vLLM's older form."),
    triggers: heeded("A part of a structural_tag in vLLM's older form."),
  },
  "response_format.json_schema": {
    name: harmless("The answer does not have it."),
    description: harmless("The model does not see it."),
    schema: heeded("A JSON Schema. A keyword that cannot be honoured is refused."),
    strict: heeded("true and false bind the answer in the same way."),
  },
  structured_outputs: {
    json: heeded("A JSON Schema, as an object or as JSON text."),
    regex: heeded("A regular expression that the whole answer matches."),
    choice: heeded("A list of strings."),
    grammar: heeded("A grammar in GBNF or EBNF."),
    json_object: heeded("The answer is a JSON object."),
    structural_tag: heeded("A structural tag, as JSON text or as an object."),
    whitespace_pattern: heeded("Regular expression of the white space in JSON."),
    disable_any_whitespace: heeded("JSON has no white space between its parts."),
    disable_fallback: harmless("The server has one way to bind answers."),
    disable_additional_properties: harmless("An object with properties has no others unless its schema allows them."),
  },
};
