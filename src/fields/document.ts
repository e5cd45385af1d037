/** docs/reference/fields.md, made from the tables. */
import { FIELDS } from "./check-fields.ts";
import { EMBEDDING_FIELDS } from "./embedding-fields.ts";
import type { Endpoint, Field, Server, Treatment } from "./field.ts";
import { LOAD_LORA_FIELDS, LORAS_FIELDS, LORAS_NESTED, UNLOAD_LORA_FIELDS } from "./lora-route-fields.ts";
import { MESSAGES_FIELDS, MESSAGES_NESTED } from "./messages-fields.ts";
import { NESTED_FIELDS } from "./nested-fields.ts";
import { RESPONSES_FIELDS, RESPONSES_NESTED } from "./responses-fields.ts";
import { DETOKENIZE_FIELDS, TOKENIZE_FIELDS } from "./tokenize-fields.ts";

const ENDPOINTS: readonly (readonly [Endpoint, string])[] = [
  ["chat", "chat"],
  ["completions", "completions"],
];

type Treatments = Readonly<Record<string, Treatment>>;

const CHAT_LIKE: readonly (readonly [string, Treatments, Readonly<Record<string, Treatments>>])[] = [
  ["/v1/responses", RESPONSES_FIELDS, RESPONSES_NESTED],
  ["/v1/messages", MESSAGES_FIELDS, MESSAGES_NESTED],
];

const OTHER_ROUTES: readonly (readonly [title: string, text: string, Treatments])[] = [
  [
    "`POST /tokenize`",
    "Chat's fields are known here too. The heeded ones that decide how an answer is drawn are harmless.",
    TOKENIZE_FIELDS,
  ],
  ["`POST /detokenize`", "The text of token ids.", DETOKENIZE_FIELDS],
  [
    "`POST /v1/load_lora_adapter`",
    "As vLLM has it. `POST /load_lora_adapter`, as SGLang has it, is the same.",
    LOAD_LORA_FIELDS,
  ],
  ["`POST /v1/unload_lora_adapter`", "`POST /unload_lora_adapter` is the same.", UNLOAD_LORA_FIELDS],
  ["`POST /v1/loras`", "As Dynamo has it.", { ...LORAS_FIELDS, "source.uri": LORAS_NESTED.source.uri }],
];

const INTRODUCTION = `# Fields of a request

<!-- Made from the tables in src/fields by \`node dist/scripts/make-docs.js\`. -->

Bodies of \`POST /v1/chat/completions\` and \`POST /v1/completions\` may have any field of OpenAI, vLLM, SGLang,
llama.cpp, TGI and LoRAX. The server treats each field in one of three ways:

- **heeded**: the field has the effect that its original server documents.
- **harmless**: the field is accepted, and the answer would be the same without it.
- **refused**: the answer is \`400 unsupported_parameter\` with the field as \`param\`. A value that asks for
  the usual behaviour is accepted.

\`null\` always means the same as no field. A field that is in no table is ignored. With \`--strict-fields\` it is
refused, and the error suggests the closest name. A field that seems to name an adapter is never ignored.
`;

/** The Markdown text. */
export function fieldsDocument(): string {
  const sections = (["heeded", "harmless", "refused"] as const).map((kind) => sectionOf(kind));
  const own = CHAT_LIKE.map(([route, fields, nested]) => ownSection(route, fields, nested));
  const others = OTHER_ROUTES.map(([title, text, fields]) => plainSection(title, text, fields));
  return [INTRODUCTION, ...sections, nestedSection(), ...own, embeddingsSection(), ...others].join("\n");
}

/** The fields of a route whose body becomes a chat request. */
function ownSection(route: string, fields: Treatments, nested: Readonly<Record<string, Treatments>>): string {
  const below = Object.entries(nested).flatMap(([place, one]) =>
    Object.entries(one).map(([name, treatment]): readonly [string, Treatment] => [`${place}.${name}`, treatment]),
  );
  return plainSection(
    `\`POST ${route}\``,
    "Chat's sampling fields and the fields that name adapters mean the same here. This route also has these fields:",
    Object.fromEntries([...Object.entries(fields), ...below]),
  );
}

function plainSection(title: string, text: string, fields: Treatments): string {
  const rows = Object.entries(fields).map(([name, treatment]) => ownRow(name, treatment));
  return [`## ${title}`, "", text, "", "| field | treatment | |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

function ownRow(name: string, one: Treatment): string {
  const accepted = one.kind === "refused" ? ` Accepted: ${one.neutral.text}.` : "";
  return `| \`${name}\` | ${one.kind} | ${escaped(one.text + accepted)} |`;
}

function sectionOf(kind: Treatment["kind"]): string {
  const fields = FIELDS.filter(({ treatment }) => ENDPOINTS.some(([endpoint]) => treatment[endpoint].kind === kind));
  const title = kind[0]?.toUpperCase() + kind.slice(1);
  const rows = fields.sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((field) => rowsOf(field, kind));
  const head = kind === "refused" ? "accepted | instead" : kind === "heeded" ? "effect" : "why";
  const line = kind === "refused" ? "--- | ---" : "---";
  return [`## ${title}`, "", `| field | where | from | ${head} |`, `| --- | --- | --- | ${line} |`, ...rows, ""].join(
    "\n",
  );
}

function rowsOf({ name, servers, treatment }: Field, kind: Treatment["kind"]): string[] {
  const { chat, completions } = treatment;
  const isShared = chat === completions;
  const entries: (readonly [string, Treatment])[] = isShared
    ? [["both", chat]]
    : ENDPOINTS.map(([endpoint, text]) => [text, treatment[endpoint]]);
  return entries.filter(([, one]) => one.kind === kind).map(([where, one]) => rowOf(name, where, servers, one));
}

function rowOf(name: string, where: string, servers: readonly Server[], treatment: Treatment): string {
  const cells = treatment.kind === "refused" ? [treatment.neutral.text, treatment.text] : [treatment.text];
  return `| ${[`\`${name}\``, where, servers.join(", "), ...cells.map(escaped)].join(" | ")} |`;
}

function nestedSection(): string {
  const rows = Object.entries(NESTED_FIELDS).flatMap(([place, fields]) =>
    Object.entries(fields).map(([name, one]) => ownRow(`${place}.${name}`, one)),
  );
  return ["## Nested", "", "| field | treatment | |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

function embeddingsSection(): string {
  const fields = [...EMBEDDING_FIELDS].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = fields.map(({ name, servers, treatment: one }) => {
    const accepted = one.kind === "refused" && one.neutral.text !== "null" ? ` Accepted: ${one.neutral.text}.` : "";
    return `| \`${name}\` | ${one.kind} | ${servers.join(", ")} | ${escaped(one.text + accepted)} |`;
  });
  const head = ["| field | treatment | from | |", "| --- | --- | --- | --- |"];
  return ["## Embeddings", "", "Bodies of `POST /v1/embeddings`.", "", ...head, ...rows, ""].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
