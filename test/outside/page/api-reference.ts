/** The page of the API. A part of page.test.ts, whose server and browser it uses. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasProgram, runProgram } from "../../helpers/outside/programs.ts";
import { send, tempDir } from "../../helpers/server.ts";
import { isPresent, server, openUrl, fill, barriers } from "../../helpers/outside/page.ts";

export function describeApiReference(): void {
  describe.skipIf(!isPresent)("the API reference", () => {
    it("has every route of the document, without a key", async () => {
      const page = await openUrl("/docs");
      await page.until("document.querySelector('.route')");
      const { json } = await send<{ paths: Record<string, { [method: string]: { tags: string[] } }> }>(
        `${server.url}/openapi.json`,
        "GET",
      );
      const documented = Object.entries(json.paths).flatMap(([path, methods]) =>
        Object.entries(methods).flatMap(([method, { tags }]) =>
          tags.includes("Pages") ? [] : [method.toUpperCase() + path],
        ),
      );
      expect((await page.texts(".route h4")).sort()).toEqual(documented.sort());
      await fill(page, "#find", "/v1/adapters"); // axe would read a whole minute
      for (const scheme of ["light", "dark"]) {
        await page.look({ scheme });
        expect([scheme, await barriers(page)]).toEqual([scheme, []]);
      }
      await page.look({ width: 390, height: 844 });
      expect(await page.value("document.documentElement.scrollWidth")).toBe(390);
    });

    it("finds the routes that have a field, and opens what hides it", async () => {
      const page = await openUrl("/docs");
      await page.until("document.querySelector('.route')");
      await fill(page, "#find", "guided_json");
      const routes = await page.texts("#contents li:not([hidden]) a span:last-child");
      expect(routes).toContain("/v1/chat/completions");
      expect(routes).not.toContain("/v1/embeddings");
      const hit = "#post-v1-chat-completions .hit[data-field=guided_json]";
      expect(await page.value(`document.querySelector("${hit}").offsetHeight > 0`)).toBe(true);
    });

    it("has examples that sh, Node and Python can read", async () => {
      const page = await openUrl("/docs");
      await page.until("document.querySelector('.route')");
      const examples = await page.value<[string, string][]>(`[...document.querySelectorAll(".example")].flatMap((box) =>
        [...box.querySelectorAll(".choice button")].map((tab) => (tab.click(), [tab.textContent, box.querySelector("pre").textContent])))`);
      const hasPython = hasProgram("python3", "examples in Python");
      for (const [language, text] of examples) {
        const isModule = language === "Node";
        const path = join(tempDir(), isModule ? "example.mjs" : "example");
        writeFileSync(path, text);
        if (language === "Python" && !hasPython) continue;
        const [program = "", ...args] =
          language === "curl"
            ? ["sh", "-n", path]
            : isModule
              ? ["node", "--check", path]
              : ["python3", "-c", "import ast,sys; ast.parse(open(sys.argv[1]).read())", path];
        const { status, output } = runProgram(program, args);
        expect([text, status, output]).toEqual([text, 0, ""]);
      }
      expect(new Set(examples.map(([language]) => language))).toEqual(new Set(["curl", "Node", "Python"]));
    });
  });
}
