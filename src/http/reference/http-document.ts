/** docs/reference/http-api.md, made from the OpenAPI document of the routes. */
import { allRoutes } from "../app.ts";
import { openApiDocument } from "../open-api.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Operation {
  readonly summary?: string;
  readonly "x-scope"?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly description?: string }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const INTRODUCTION = `# HTTP API

<!-- Made from the routes by \`node dist/scripts/make-docs.js\`. GET /openapi.json serves the same as OpenAPI 3.1. -->

The default address is \`http://127.0.0.1:8080\`. With keys configured, requests need \`Authorization: Bearer <key>\` or
\`x-api-key: <key>\`. Each route names the [scope](../how-to/operate/keys-and-tenants.md) that the key must have.
[Errors](errors.md) have OpenAI's shape. Under \`/v1/messages\` they have Anthropic's.
[Fields](fields.md) lists the request fields of this server and of similar servers. The header \`x-request-timeout-ms\`
sets a deadline.

## Models and adapters by name

- \`model\` is the base's served name, an adapter's name, or \`base:adapter\`.
- \`adapter\` may name the adapter instead. As \`{"data": "<base64 of a .mosara file>"}\` it contains an adapter
  for this request.
- As \`{"blend": {"<name>": <weight>, …}}\` it is the weighted sum of up to 8 stored adapters
  ([what can be blended](../how-to/adapters/manage-adapters.md#blend-adapters)).
- Two different adapters in one request get a 400. An unknown name gets a 404. The base never answers in an adapter's
  place.
- The name of an upload matches \`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$\`, without \`..\`. The adapter of a training job
  has a name of the form \`ft:<base>:<tenant>:<suffix>:<id>\`. Its checkpoints add \`:ckpt-step-<step>\`.
- A request keeps the generation it began with, even if the adapter is replaced or deleted meanwhile.
`;

/** The Markdown text. @param version the program's */
export function httpDocument(): string {
  const api = openApiDocument(allRoutes(""), "") as OpenApi;
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags ?? []))];
  const sections = tags.map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags?.includes(tag));
    return [`## ${tag}`, "", ...own.flatMap((one) => operationLines(one.method, one.path, one.operation))].join("\n");
  });
  const schemas = Object.entries(api.components?.schemas ?? {}).map(
    ([name, schema]) => `### ${name}\n\n${fieldTable(schema)}`,
  );
  return [INTRODUCTION, ...sections, "## Bodies\n", ...schemas].join("\n").replaceAll(/\n{3,}/g, "\n\n");
}

function operationLines(method: string, path: string, operation: Operation): readonly string[] {
  const { summary, parameters = [], requestBody, responses } = operation;
  const lines = [`### \`${method.toUpperCase()} ${path}\``, "", `${summary ?? ""}.${scopeSentence(operation)}`, ""];
  for (const { name, in: where, description } of parameters)
    lines.push(`- ${where} \`${name}\`${description === undefined ? "" : `: ${description}`}`);
  for (const [type, { schema }] of Object.entries(requestBody?.content ?? {}))
    lines.push(`- body \`${type}\`${schema ? `: ${typeOf(schema)}` : ""}`);
  for (const [status, { description, content }] of Object.entries(responses)) {
    if (status === "default") continue; // the error object, which every route has
    const bodies = Object.entries(content ?? {}).map(
      ([type, { schema }]) => ` \`${type}\`${schema ? ` (${typeOf(schema)})` : ""}`,
    );
    const line = `- ${status}: ${description}`;
    const body = bodies.join(",");
    lines.push(...(line.length + body.length <= 120 ? [`${line}${body}`] : [line, ` ${body}`]));
  }
  return [...lines, ""];
}

function scopeSentence({ "x-scope": scope }: Operation): string {
  if (scope === "none") return " No key is needed.";
  return scope === "any" ? " Any key is enough." : ` Scope: \`${scope}\`.`;
}

function fieldTable({ properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const note = [required.includes(name) ? "required" : "", schema.description ?? ""].filter(Boolean).join("; ");
    return `| \`${name}\` | ${typeOf(schema)} | ${note.replaceAll("|", "\\|")} |`;
  });
  return rows.length === 0 ? "Any object.\n" : `| field | type | |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** A schema in words. */
function typeOf(schema: Schema): string {
  const { $ref, type, items, properties } = schema;
  const choices = schema.anyOf ?? schema.oneOf;
  if ($ref !== undefined) return linkTo($ref.split("/").at(-1) ?? $ref);
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ");
  if (choices) return [...new Set(choices.map(typeOf))].join(" or ");
  if (schema.allOf) return [...new Set(schema.allOf.map(typeOf))].join(" and ");
  const types = typeof type === "string" ? [type] : (type ?? ["any"]);
  return types
    .map((one) => {
      if (one === "array") return items ? `list of ${typeOf(items)}` : "list";
      return one === "object" && properties ? `object (${Object.keys(properties).join(", ")})` : one;
    })
    .join(" or ");
}

const linkTo = (name: string): string => `[${name}](#${name.toLowerCase()})`;
