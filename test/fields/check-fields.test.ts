import { describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { type CheckedEndpoint, checkFields, FIELDS } from "../../src/fields/check-fields.ts";
import { closestName } from "../../src/fields/closest-name.ts";
import { NESTED_FIELDS } from "../../src/fields/nested-fields.ts";

const paramOf = (
  body: object,
  endpoint: CheckedEndpoint = "chat",
  isStrict = false,
): [string, string | undefined] | null => {
  try {
    checkFields(body, endpoint, { isStrict });
    return null;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [error.code, error.details.param];
  }
};
const messageOf = (body: object): string => {
  try {
    checkFields(body, "chat", { isStrict: true });
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
};

describe("the tables of fields", () => {
  it("have every name once", () => {
    const names = FIELDS.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("take null for absent, whatever the field is", () => {
    for (const endpoint of ["chat", "completions"] as const)
      expect(paramOf(Object.fromEntries(FIELDS.map(({ name }) => [name, null])), endpoint, true)).toBeNull();
  });
});

describe("a field that no table has", () => {
  it("is ignored, unless every field has to be known", () => {
    expect(paramOf({ temprature: 1 })).toBeNull();
    expect(paramOf({ temprature: 1 }, "chat", true)).toEqual(["invalid_request", "temprature"]);
    expect(paramOf({ "speculative.n_max": 3 }, "chat", true)).toBeNull();
  });

  it("is answered with the name that was probably meant", () => {
    expect(messageOf({ temprature: 1 })).toContain('Did you mean "temperature"?');
    expect(messageOf({ max_token: 1 })).toContain('Did you mean "max_tokens"?');
    expect(messageOf({ stream_options: { include_usages: true } })).toContain(
      'Did you mean "stream_options.include_usage"?',
    );
    expect(messageOf({ messages: [{ role: "user", contents: "x" }] })).toContain('Did you mean "messages.0.content"?');
    expect(messageOf({ tools: [{ type: "function", function: { nam: "f" } }] })).toContain(
      'Did you mean "tools.0.function.name"?',
    );
    expect(messageOf({ something_else_entirely: 1 })).toContain("Leave it out.");
  });

  it("is never ignored where it seems to name an adapter", () => {
    for (const name of ["lora_id", "adapters_path", "peft_adapter", "LoRA", "peft_model"])
      expect(paramOf({ [name]: "x" })).toEqual(["unsupported_parameter", name]);
  });

  it("is never ignored beside an adapter's name or its bytes", () => {
    for (const endpoint of ["chat", "completions", "responses", "messages", "embeddings"] as const) {
      const blend = { adapter: { blend: { acme: 1 }, scale: 2 } };
      expect(paramOf(blend, endpoint)).toEqual(["invalid_request", "adapter.scale"]);
      const request = { lora_request: { lora_name: "acme", lora_scale: 2 } };
      expect(paramOf(request, endpoint)).toEqual(["invalid_request", "lora_request.lora_scale"]);
      expect(paramOf({ lora_request: { lora_name: "acme", lora_int_id: 1, lora_path: "x" } }, endpoint)).toBeNull();
    }
  });
});

/** A body with an object at a nested place such as `messages[].content[]`. */
function bodyWith(place: string, object: object): { body: object; path: string } {
  const [first = "", ...rest] = place.split(".");
  const below = rest.length === 0 ? { body: object, path: "" } : bodyWith(rest.join("."), object);
  const name = first.replace("[]", "");
  const isList = first.endsWith("[]");
  const path = [name, ...(isList ? ["0"] : []), ...(below.path === "" ? [] : [below.path])].join(".");
  return { body: { [name]: isList ? [below.body] : below.body }, path };
}

describe("a nested field", () => {
  const nested = Object.entries(NESTED_FIELDS).flatMap(([place, fields]) =>
    Object.entries(fields).map(([name, treatment]) => [`${place}.${name}`, { place, name, treatment }] as const),
  );

  it.each(nested)("%s is treated as the table says", (_, { place, name, treatment }) => {
    for (const value of [true, "some text", 7, ["a"]]) {
      const { body, path } = bodyWith(place, { [name]: value });
      const isRefused = treatment.kind === "refused" && !treatment.neutral.holds(value, {});
      expect(paramOf(body, "chat", true)).toEqual(isRefused ? ["unsupported_parameter", `${path}.${name}`] : null);
      const misspelt = bodyWith(place, { [`${name}_x_y_z`]: value });
      expect(paramOf(misspelt.body, "chat", true)).toEqual(["invalid_request", `${path}.${name}_x_y_z`]);
    }
  });

  it.each([
    [{ messages: [{ role: "assistant", content: "x", prefix: true }] }, "messages.0.prefix"],
    [{ messages: [{ role: "user" }, { role: "assistant", audio: { id: "a" } }] }, "messages.1.audio"],
    [{ messages: [{ role: "assistant", content: "x", partial: true }] }, "messages.0.partial"],
  ])("that changes the answer is refused by its path: %j", (body, param) => {
    expect(paramOf(body)).toEqual(["unsupported_parameter", param]);
  });

  it("that changes nothing is accepted", () => {
    const messages = [
      { role: "user", content: [{ type: "text", text: "x", cache_control: { type: "ephemeral" } }], weight: 1 },
      { role: "assistant", content: "y", prefix: false, audio: null, refusal: null },
    ];
    expect(paramOf({ messages, stream_options: { include_obfuscation: false } }, "chat", true)).toBeNull();
  });
});

describe("closestName", () => {
  it("finds swapped, missing and doubled letters, and nothing that is far", () => {
    const known = ["temperature", "top_p", "top_k", "stop"];
    expect(closestName("tempreature", known)).toBe("temperature");
    expect(closestName("topp", known)).toBe("top_p");
    expect(closestName("sttop", known)).toBe("stop");
    expect(closestName("frequency", known)).toBeUndefined();
    expect(closestName("x".repeat(10_000), known)).toBeUndefined();
  });
});
