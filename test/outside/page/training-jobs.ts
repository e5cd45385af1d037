/** Training jobs on the page. A part of page.test.ts, whose server and browser it uses. */
import OpenAI, { toFile } from "openai";
import { describe, expect, it } from "vitest";
import { type BrowserPage } from "../../helpers/outside/chromium.ts";
import { until } from "../../helpers/server.ts";
import { KEY, BASE, isPresent, server, openPage, barriers } from "../../helpers/outside/page.ts";

export function describeTrainingJobs(): void {
  describe.skipIf(!isPresent)("training jobs", () => {
    const jobs = (): OpenAI => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
    const create = async (steps: number, suffix: string): Promise<string> => {
      const client = jobs();
      const lines = Array.from({ length: 8 }, (_, i) => JSON.stringify({ prompt: `${i}: `, completion: `pong ${i}` }));
      const file = await client.files.create({
        file: await toFile(Buffer.from(lines.join("\n"))),
        purpose: "fine-tune",
      });
      const settings = { training_file: file.id, validation_file: file.id, suffix, mosara: { steps } };
      return (await client.fineTuning.jobs.create({ model: BASE, ...settings })).id;
    };
    const reached = async (page: BrowserPage): Promise<number> =>
      Number(/after (\d+) of/.exec((await page.value<string | null>(CURVE)) ?? "")?.[1] ?? 0);
    const CURVE = "document.querySelector('.curve svg')?.ariaLabel ?? null";

    it("are shown with a curve that grows, and obey the page", async () => {
      const page = await openPage("alpha");
      await page.click("#jobs");
      await page.untilText("dialog .empty", "There are no training jobs yet.");
      await create(4000, "endless");
      await page.untilText(".job h3", "endless");
      await page.untilText(".job [role=status]", "running");
      const first = await until("the curve", () => reached(page));
      await until(
        "more of it",
        () => reached(page),
        (step) => step > first,
      );
      await page.click(".job-actions button");
      await page.untilText(".job [role=status]", "paused");

      const id = await create(6, "brief");
      await page.untilText(".jobs button", "brief");
      await page.click(".jobs li:first-child button");
      await page.untilText(".job h3", "brief");
      await page.untilText(".job [role=status]", "succeeded");
      const { data: kept } = await jobs().fineTuning.jobs.checkpoints.list(id);
      const earlier = kept.slice(1).map(({ step_number: step }) => `Ask step ${step}`);
      expect(earlier.length).toBe(2);
      await page.untilText(".job-actions button:last-child", earlier[1] ?? "");
      expect(await page.texts(".job-actions button")).toEqual(["Ask it", ...earlier]);
      await page.click(".job details summary");
      await page.until("document.querySelectorAll('.job tbody tr').length === 7");
      const shown = (await page.texts(".job tbody tr")).slice(1);
      const { data: events } = await jobs().fineTuning.jobs.listEvents(id, { limit: 100 });
      const losses = events.reverse().flatMap(({ data }) => (data as { train_loss?: number } | null)?.train_loss ?? []);
      expect(losses.length).toBe(6);
      for (const [index, loss] of losses.entries()) expect(shown[index]).toContain(`${index + 1}${loss.toFixed(4)}`);
      for (const scheme of ["light", "dark"]) {
        await page.look({ scheme });
        expect([scheme, await barriers(page, "dialog")]).toEqual([scheme, []]);
      }
      await page.look({ width: 390, height: 844 });
      expect(await page.value("document.documentElement.scrollWidth")).toBe(390);
      await page.look({});
      await page.click(".job-actions .primary");
      await page.until("document.querySelectorAll('.head').length === 2 && !document.querySelector('dialog')");
      expect((await page.texts(".head h3")).at(-1)).toMatch(/:brief:/);

      await page.click("#jobs");
      await page.untilText(".job-actions button:last-child", earlier[1] ?? "");
      await page.click(".job-actions button:last-child");
      await page.until("document.querySelectorAll('.head').length === 3 && !document.querySelector('dialog')");
      expect((await page.texts(".head h3")).at(-1)).toMatch(/:ckpt-step-\d+$/);

      await page.click("#jobs");
      await page.untilText(".job [role=status]", "succeeded");
      await page.click(".jobs li:nth-child(2) button");
      await page.untilText(".job [role=status]", "paused");
      await page.click(".job-actions button:nth-child(2)");
      await page.untilText(".job-actions button", "Cancel for good");
      await page.press("Enter");
      await page.untilText(".job [role=status]", "cancelled");
      expect(await page.texts(".job-actions button")).toEqual([]);
    });
  });
}
