/**
 * The format of calls, proved by rendering a call: templates that share a mark and write other things inside it have
 * none that is known.
 */
import { describe, expect, it } from "vitest";
import { probeTemplate } from "../../../../src/http/completion/answer-format/template-probe.ts";

const LOOP =
  "{{ tools }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}CALL{% endfor %}{% endfor %}";
const withCall = (call: string): string => LOOP.replace("CALL", call);
const NAMED = '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}';

describe("a template", () => {
  it.each([
    ["hermes", withCall(`<tool_call>\n${NAMED}\n</tool_call>`)],
    ["mistral", withCall(`[TOOL_CALLS][${NAMED}]`)],
    ["mistral_args", withCall("[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}")],
    ["llama3_json", withCall(NAMED.replace('"arguments"', '"parameters"'))],
    ["phi4_mini", withCall(`<|tool_call|>[${NAMED}]<|/tool_call|>`)],
    ["phi4_mini_json", withCall(`functools[${NAMED}]`)],
  ])("that writes calls as %s is known by them", (name, source) => {
    expect(probeTemplate(source)).toMatchObject({ takesTools: true, calls: { name } });
  });

  it.each([
    [
      "XML inside a known mark",
      withCall("<tool_call><function={{ c.function.name }}>{{ c.function.arguments | tojson }}</function></tool_call>"),
    ],
    [
      "other marks",
      withCall(
        "<start_call>{{ c.function.name }}({{ c.function.arguments | tojson }})<end_call>{{ 'parameters' }}name",
      ),
    ],
  ])("that writes %s has no format that is known", (_, source) => {
    expect(probeTemplate(source)).toEqual({ takesTools: true, calls: null });
  });

  it("that only teaches a format in words has the one that its marks suggest", () => {
    const source =
      "{{ tools }} Answer within <tool_call></tool_call>.{% for m in messages %}{{ m.content }}{% endfor %}";
    expect(probeTemplate(source)).toMatchObject({ takesTools: true, calls: { name: "hermes" } });
  });

  it("that shows no tools takes none, whatever it calls them", () => {
    expect(probeTemplate("{# tools #}{% for m in messages %}{{ m.content }}{% endfor %}").takesTools).toBe(false);
    expect(probeTemplate("{% if xml_tools %}{{ xml_tools }}{% endif %}").takesTools).toBe(true);
  });

  it("that only counts tools takes them", () => {
    expect(probeTemplate("{{ tools | length }} tools{{ messages[0].content }}").takesTools).toBe(true);
  });
});
