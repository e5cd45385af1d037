/** Answers that come, fail, stop or break off. A part of page.test.ts, whose server and browser it uses. */
import { describe, expect, it, vi } from "vitest";
import { childrenOf } from "../../helpers/processes.ts";
import { send, untilIdle } from "../../helpers/server.ts";
import { KEY, isPresent, server, openPage, setMaxTokens, say, untilAnswered } from "../../helpers/outside/page.ts";

export function describeAnswers(): void {
  describe.skipIf(!isPresent)("an answer", () => {
    it("that fails is an error in its column, beside answers that do not", async () => {
      const page = await openPage("alpha", "mortal");
      await send(`${server.url}/v1/adapters/mortal`, "DELETE", undefined, {
        headers: { authorization: `Bearer ${KEY}` },
      });
      await setMaxTokens(page, 8);
      await say(page, "Hello");
      await untilAnswered(page, 2);
      expect(await page.texts("[aria-label='Answer of mortal'] [role=alert] code")).toEqual(["model_not_found"]);
      expect((await page.texts(".meter"))[0]).toMatch(/^8 tokens/);
      // It is left out of what this column says next, and the others continue.
      await say(page, "Again");
      await untilAnswered(page, 4);
      expect(page.posted.slice(2).map(({ messages }) => (messages as object[]).length)).toEqual([3, 1]);
    });

    it("changes the page once a frame, however fast its tokens come", async () => {
      const page = await openPage("alpha");
      await setMaxTokens(page, 400);
      await page.value(`window.seen = { frames: 0, changes: 0 };
        (function count() { window.seen.frames++; requestAnimationFrame(count); })();
        new MutationObserver(() => window.seen.changes++).observe(document.querySelector("main"),
          { subtree: true, childList: true, characterData: true });`);
      await say(page, "Hello");
      await untilAnswered(page, 1);
      const { frames, changes } = await page.value<{ frames: number; changes: number }>("window.seen");
      expect(changes).toBeGreaterThan(2);
      // And the changes at the beginning and the end.
      expect(changes).toBeLessThan(frames + 10);
    });

    it("stops in all columns at once, and the server with it", async () => {
      const page = await openPage("alpha", "beta", "gamma");
      await setMaxTokens(page, 15_000);
      await say(page, "Hello");
      await page.until(
        "[...document.querySelectorAll('.answer')].every((one) => one.textContent.includes('first after'))",
      );
      expect(await page.value("document.getElementById('send').disabled")).toBe(true);
      await page.click("#stop");
      await untilAnswered(page, 3);
      for (const meter of await page.texts(".meter")) expect(meter).toMatch(/stopped$/);
      expect(await page.value("document.activeElement.id")).toBe("message");
      expect(await page.texts("[role=alert]")).not.toContain("Error");
      await untilIdle(server.url);
    });

    it("that breaks off is an error after what had come, and can be tried again", async () => {
      const page = await openPage("alpha");
      await setMaxTokens(page, 15_000);
      await say(page, "Hello");
      await page.untilText(".meter", "first after");
      for (const pid of childrenOf(server.pid)) process.kill(pid, "SIGKILL"); // the engine
      await page.untilText(".answer [role=alert]", "engine_unavailable");
      expect((await page.texts(".answer .text"))[1]?.length).toBeGreaterThan(0);
      const ready = async () => (await send(`${server.url}/readyz`, "GET")).status;
      await vi.waitUntil(async () => (await ready()) === 200, { timeout: 200_000 });
      await setMaxTokens(page, 8);
      await page.click(".answer .error button");
      await page.untilText(".meter", "8 tokens");
      expect(await page.texts(".answer [role=alert]")).toEqual([]);
    });
  });
}
