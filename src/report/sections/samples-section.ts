/** The answers of the base and the trained model to the same prompts. */
import { type Markup, markup } from "../charts/markup.ts";
import type { ReportData } from "../report-data.ts";

/** Maximum number of characters of a text that are shown. */
const MOST_CHARACTERS = 2000;

export function samplesSection({ samples, maxAnswerTokens }: ReportData): Markup {
  return markup`<p>Greedy answers to prompts of the data, cut after ${maxAnswerTokens} tokens: before training, and after.</p>
${samples.map(
  ({ prompt, expected, base, trained }, i) => markup`<article class="sample" aria-label="sample ${i + 1}">
<div class="prompt"><h3>Prompt ${i + 1}</h3>${text(prompt)}</div>
${expected === null ? null : markup`<div class="prompt"><h3>Expected</h3>${text(expected)}</div>`}
<div class="answers"><div><h3>Before: base</h3>${text(base)}</div><div class="after"><h3>After: trained</h3>${text(trained)}</div></div>
</article>`,
)}`;
}

/** The text in its own writing direction. */
function text(value: string): Markup {
  if (value.trim() === "") return markup`<p class="nothing">(nothing)</p>`;
  const characters = [...value];
  const shown = characters.length > MOST_CHARACTERS ? `${characters.slice(0, MOST_CHARACTERS).join("")}…` : value;
  return markup`<pre dir="auto">${shown}</pre>`;
}
