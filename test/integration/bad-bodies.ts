/** Bodies of requests that are no good. A part of bad-input.test.ts, whose server it uses. */
import { describe, expect, it } from "vitest";
import { codeOf, complete, send } from "../helpers/server.ts";
import { server, manifest, sendRaw } from "../helpers/bad-input-server.ts";

export function describeBodies(): void {
  describe("a body", () => {
    const post = async (body: string | Uint8Array, path = "/v1/completions") =>
      codeOf(await send(`${server.url}${path}`, "POST", body));

    it("that is no JSON object of the right kind is refused", async () => {
      const bodies = [
        "",
        "{",
        "nonsense",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        '{"model":1}',
        '{"model":"base"}',
        '{"model":"base","prompt":{}}',
      ];
      for (const body of [...bodies, Buffer.from([0xff, 0xfe, 0x7b]), `{"model":"base","prompt":${"[".repeat(2000)}`])
        for (const path of [
          "/v1/completions",
          "/v1/chat/completions",
          "/v1/load_lora_adapter",
          "/v1/adapters/good/placement",
        ])
          expect([body.slice(0, 60), path, await post(body, path)]).toEqual([
            body.slice(0, 60),
            path,
            // `prompt` is known, and refused by name where it has no meaning.
            body === '{"model":"base","prompt":{}}' && path === "/v1/chat/completions"
              ? "400 unsupported_parameter"
              : "400 invalid_request",
          ]);
    });

    it("with a key twice means the last, as everywhere, and __proto__ means nothing", async () => {
      const answer = await send(
        `${server.url}/v1/completions`,
        "POST",
        '{"model":"nobody","model":"base","prompt":[5],"max_tokens":9,"max_tokens":1,"__proto__":{"n":3}}',
      );
      expect(answer.json).toMatchObject({ model: "base", usage: { completion_tokens: 1 } });
    });

    it("that is too large is refused, announced or not", async () => {
      for (const path of [
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/load_lora_adapter",
        "/v1/adapters/good/placement",
      ]) {
        const declared = await sendRaw("POST", path, { headers: { "content-length": 2 ** 40 } });
        expect([path, codeOf(declared)]).toEqual([path, "413 request_too_large"]);
      }
      const chunks = Array.from({ length: 17 }, () => new Uint8Array(2 ** 20).fill(32));
      expect(codeOf(await sendRaw("POST", "/v1/completions", { chunks }))).toBe("413 request_too_large");
    });

    it("with numbers out of bounds is refused by code", async () => {
      const ask = async (body: object) =>
        codeOf(await complete(server.url, { model: "base", prompt: [5], max_tokens: 1, ...body }));
      const invalid = [
        { n: 1e9 },
        { n: 0 },
        { n: -1 },
        { n: 1.5 },
        { prompt: [-1] },
        { prompt: [manifest.config.vocabSize] },
        { prompt: [1e12] },
        { prompt: [1.5] },
        { prompt: [] },
        { prompt: [[]] },
        { prompt: [[5], "x"] },
        { prompt: [null] },
        { max_tokens: -1 },
        { temperature: -1 },
        { temperature: "hot" },
        { top_p: 2 },
        { stop: [1] },
        { stop: Array.from({ length: 100 }, () => "x") },
        { seed: 0.5 },
        { logprobs: 1000 },
        { logit_bias: { x: 1 } },
        { logit_bias: { 1: 1e9 } },
        { stop_token_ids: [-1] },
        { stream_options: { include_usage: true } },
        { n: 128, prompt: Array.from({ length: 3000 }, () => [5]) },
      ];
      for (const body of invalid) expect([body, await ask(body)]).toEqual([body, "400 invalid_request"]);
      const positions = manifest.config.maxPositions;
      const tooLong = [
        { max_tokens: positions },
        { max_tokens: 2 ** 31 - 1 },
        { prompt: Array.from({ length: positions + 1 }, () => 5) },
        { prompt: "x ".repeat(5000) },
      ];
      for (const body of tooLong) expect([body, await ask(body)]).toEqual([body, "400 context_length_exceeded"]);
      expect(await ask({ max_tokens: positions - 1, ignore_eos: true })).toBe("200");
      for (const body of [{ suffix: "x" }, { modalities: ["audio"] }])
        expect([body, await ask(body)]).toEqual([body, "400 unsupported_parameter"]);
    });
  });
}
