/** Examples of a route as text: curl, and the official SDKs where they have a method for it. */

/**
 * @typedef {{label: string, text: string}} Example
 * @typedef {Record<string, unknown>} Body
 */

/** Methods of OpenAI's SDKs, and of Anthropic's. Both languages call them by the same names. */
const OPENAI = new Map([
  ["post /v1/chat/completions", "chat.completions.create"],
  ["post /v1/completions", "completions.create"],
  ["post /v1/responses", "responses.create"],
  ["post /v1/embeddings", "embeddings.create"],
  ["get /v1/models", "models.list"],
]);
const ANTHROPIC = new Map([
  ["post /v1/messages", "messages.create"],
  ["post /v1/messages/count_tokens", "messages.count_tokens"],
]);
/** Fields of the examples that OpenAI's SDK for Python has no argument for. */
const EXTRA = new Set(["adapter", "pooling"]);
/** Values of path parameters in the examples. */
const PARAMETERS = new Map([
  ["name", "pirate"],
  ["file", "base.css"],
]);

/**
 * @param {string} method
 * @param {string} path
 * @param {Body | undefined} body
 * @param {boolean} isUpload whether the body is a file
 * @param {string} origin of the server, without a slash at its end
 * @returns {Example[]}
 */
export function examplesOf(method, path, body, isUpload, origin) {
  const key = `${method} ${path}`;
  const examples = [{ label: "curl", text: curl(method, path, body, isUpload, origin) }];
  const openai = OPENAI.get(key);
  const anthropic = ANTHROPIC.get(key);
  if (openai !== undefined) {
    examples.push({ label: "Node", text: nodeText("OpenAI", "openai", openai, body, `${origin}/v1`) });
    examples.push({ label: "Python", text: pythonText("OpenAI", "openai", openai, body, `${origin}/v1`) });
  }
  if (anthropic !== undefined) {
    const camel = anthropic.replaceAll(/_(\w)/g, (_, letter) => letter.toUpperCase());
    examples.push({ label: "Node", text: nodeText("Anthropic", "@anthropic-ai/sdk", camel, body, origin) });
    examples.push({ label: "Python", text: pythonText("Anthropic", "anthropic", anthropic, body, origin) });
  }
  return examples;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Body | undefined} body
 * @param {boolean} isUpload
 * @param {string} origin
 */
function curl(method, path, body, isUpload, origin) {
  const url = origin + path.replaceAll(/\{(\w+)\}/g, (_, name) => PARAMETERS.get(name) ?? `<${name}>`);
  const isPlain = method === "get" || (method === "post" && body !== undefined);
  const lines = [`curl ${isPlain ? "" : `-X ${method.toUpperCase()} `}${url.includes("<") ? `'${url}'` : url}`];
  lines.push(`  -H "Authorization: Bearer $KEY"`);
  if (body !== undefined) {
    lines.push(`  -H "Content-Type: application/json"`);
    lines.push(`  -d '${jsonText(body).replaceAll("'", "'\\''")}'`);
  }
  if (isUpload) lines.push(`  -H "Content-Type: application/octet-stream"`, "  --data-binary @pirate.mosara");
  return lines.join(" \\\n");
}

/**
 * @param {string} client
 * @param {string} module
 * @param {string} call
 * @param {Body | undefined} body
 * @param {string} baseUrl
 */
function nodeText(client, module, call, body, baseUrl) {
  const request = body === undefined ? "" : jsonText(body).replaceAll(/"(\w+)":/g, "$1:");
  return [
    `import ${client} from "${module}";`,
    "",
    `const client = new ${client}({`,
    `  baseURL: "${baseUrl}",`,
    `  apiKey: process.env.KEY ?? "none",`,
    "});",
    `const answer = await client.${call}(${request});`,
    "console.log(answer);",
  ].join("\n");
}

/**
 * @param {string} client
 * @param {string} module
 * @param {string} call
 * @param {Body | undefined} body
 * @param {string} baseUrl
 */
function pythonText(client, module, call, body, baseUrl) {
  const known = Object.entries(body ?? {}).filter(([name]) => !EXTRA.has(name));
  const extra = Object.entries(body ?? {}).filter(([name]) => EXTRA.has(name));
  const lines = known.map(([name, value]) => `    ${name}=${pythonValue(value, "    ")},`);
  if (extra.length > 0) lines.push(`    extra_body=${pythonValue(Object.fromEntries(extra), "    ")},`);
  return [
    "import os",
    `from ${module} import ${client}`,
    "",
    `client = ${client}(`,
    `    base_url="${baseUrl}",`,
    `    api_key=os.environ.get("KEY", "none"),`,
    ")",
    lines.length === 0 ? `answer = client.${call}()` : `answer = client.${call}(\n${lines.join("\n")}\n)`,
    "print(answer)",
  ].join("\n");
}

/**
 * @param {unknown} value
 * @param {string} indent
 */
function pythonValue(value, indent) {
  const words = new Map([
    ["true", "True"],
    ["false", "False"],
    ["null", "None"],
  ]);
  // Strings come first, so that a word inside one stays as it is.
  const text = jsonText(value).replaceAll(
    /"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g,
    (part) => words.get(part) ?? part,
  );
  return text.replaceAll("\n", `\n${indent}`);
}

/**
 * JSON in lines of at most 52 characters, where that is possible.
 * @param {unknown} value
 * @param {string} [indent]
 * @returns {string}
 */
function jsonText(value, indent = "") {
  const flat = JSON.stringify(value, null, 1).replaceAll(/\n\s*/g, " ");
  if (typeof value !== "object" || value === null || (flat.length + indent.length <= 52 && indent !== "")) return flat;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((one) => inner + jsonText(one, inner))
    : Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${jsonText(one, inner)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return `${open}\n${parts.join(",\n")}\n${indent}${close}`;
}
