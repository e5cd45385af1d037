/**
 * The treatment of a request's field, as data. Every field in the API of a known server is heeded, harmless, or
 * refused. A refused field still passes when its value asks for what happens anyway. Knows no HTTP and no schemas.
 */

/** Servers whose clients send the field. */
export type Server = "OpenAI" | "vLLM" | "SGLang" | "llama.cpp" | "TGI" | "LoRAX" | "mosara";

/** The routes of completions. */
export type Endpoint = "chat" | "completions";

/** The routes whose bodies become chat requests. They have fields of their own. */
export type ChatLikeEndpoint = "messages" | "responses";

export type Body = Readonly<Record<string, unknown>>;

/** Values of a refused field that ask for the normal behaviour. */
export interface Neutral {
  /** For the documentation. */
  readonly text: string;
  readonly holds: (value: unknown, body: Body) => boolean;
}

export type Treatment =
  /** It works as its server documents; `text` says how. */
  | { readonly kind: "heeded"; readonly text: string }
  /** Accepted without effect; `text` says why the answer does not change. */
  | { readonly kind: "harmless"; readonly text: string }
  /** Answered with 400 unless neutral; `text` says what to do instead. */
  | { readonly kind: "refused"; readonly neutral: Neutral; readonly text: string };

export interface Field {
  readonly name: string;
  readonly servers: readonly Server[];
  readonly treatment: Readonly<Record<Endpoint, Treatment>>;
}

export const heeded = (text: string): Treatment => ({ kind: "heeded", text });
export const harmless = (text: string): Treatment => ({ kind: "harmless", text });
export const refused = (neutral: Neutral, text = "Leave it out."): Treatment => ({ kind: "refused", neutral, text });

/** Fields that have the same treatment wherever they occur. */
export function both(servers: readonly Server[], fields: Readonly<Record<string, Treatment>>): Field[] {
  return Object.entries(fields).map(([name, one]) => ({ name, servers, treatment: { chat: one, completions: one } }));
}

/** Fields of one endpoint. The other endpoint refuses them unless `elsewhere` holds. */
export function only(
  endpoint: Endpoint,
  servers: readonly Server[],
  fields: Readonly<Record<string, Treatment>>,
  elsewhere: Neutral = nothing,
): Field[] {
  const route = endpoint === "chat" ? "/v1/chat/completions" : "/v1/completions";
  const other = refused(elsewhere, `It is a field of POST ${route}.`);
  return Object.entries(fields).map(([name, one]) => ({
    name,
    servers,
    treatment: endpoint === "chat" ? { chat: one, completions: other } : { chat: other, completions: one },
  }));
}

/** null alone, which always means the same as absent. */
export const nothing: Neutral = { text: "null", holds: () => false };

/** These values, by JSON equality. */
export function is(...values: readonly (string | number | boolean)[]): Neutral {
  return {
    text: values.map((value) => JSON.stringify(value)).join(", "),
    holds: (value) => values.some((one) => one === value),
  };
}

/** An empty list, map or text. */
export const empty: Neutral = {
  text: "empty",
  holds: (value) => value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0),
};

const TEXT_PARTS: ReadonlySet<unknown> = new Set([undefined, "text", "input_text", "output_text"]);

/** Any value in a part of a message that is not text. Such a part is refused by its type. */
export const inOtherPart: Neutral = {
  text: "empty",
  holds: (value, part) => empty.holds(value, part) || !TEXT_PARTS.has(part.type),
};

/** Any value, as long as the field that gives it a meaning is absent or itself neutral. */
export function without(name: string, neutral: Neutral): Neutral {
  return {
    text: `any, while ${name} is absent or ${neutral.text}`,
    holds: (_, body) => {
      const other = body[name];
      return other === undefined || other === null || neutral.holds(other, body);
    },
  };
}

/** Values that satisfy either of two conditions. */
export function either(one: Neutral, other: Neutral): Neutral {
  return {
    text: `${one.text}; ${other.text}`,
    holds: (value, body) => one.holds(value, body) || other.holds(value, body),
  };
}
