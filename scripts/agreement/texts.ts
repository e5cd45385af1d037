/**
 * The texts of `npm run agreement -- --real`: prose, code and chat for logits, prompts for answers, a long text for
 * perplexity.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const TEXTS: readonly string[] = [
  "The lighthouse had been dark for eleven years when the new keeper arrived. She brought two suitcases, a barometer and a dog that was afraid of the sea.",
  "Photosynthesis converts light into chemical energy. Plants take up carbon dioxide through their leaves and water through their roots, and release oxygen.",
  "In 1911 Roald Amundsen reached the South Pole, five weeks before Robert Falcon Scott. Both expeditions had spent the winter on the ice.",
  "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n\nprint([fibonacci(i) for i in range(10)])\n",
  "export function debounce(call, delayMs) {\n  let timer;\n  return (...values) => {\n    clearTimeout(timer);\n    timer = setTimeout(() => call(...values), delayMs);\n  };\n}\n",
  "SELECT name, COUNT(*) AS orders FROM customers JOIN orders ON orders.customer_id = customers.id GROUP BY name HAVING COUNT(*) > 3 ORDER BY orders DESC;",
  "<|im_start|>user\nWhat is the capital of Norway, and how many people live there?<|im_end|>\n<|im_start|>assistant\nThe capital of Norway is Oslo. About 700,000 people live in the city.<|im_end|>\n",
  "Q: A train leaves at 9:40 and arrives at 13:05. How long does the journey take?\nA: From 9:40 to 13:05 are three hours and twenty-five minutes.",
  "Ingredients: 200 g flour, 3 eggs, 400 ml milk, a pinch of salt. Whisk everything until smooth, wait for half an hour, and bake thin pancakes in butter.",
  "Dear Ms Tanaka, thank you for your letter of 3 March. We have received the parcel, but the second box was damaged. Could you send a replacement?",
];

const SUBJECTS = [
  "The capital of France is",
  "Once upon a time there was a little",
  "The three primary colours are",
  "To make a cup of tea, first",
  "Water boils at",
  "The opposite of hot is",
  "A good way to learn a language is",
  "The largest planet of the solar system is",
  "import numpy as np\n\ndef mean(values):\n",
  "In the middle of the night, the telephone",
  "The recipe needs flour, sugar and",
  "Shakespeare wrote",
  "The quickest way from Berlin to Paris is",
  "My favourite season is",
  "for i in range(10):\n    print(",
  "The doctor told her that",
  "Two plus two is",
  "If it rains tomorrow, we",
  "The first person on the moon was",
  "A triangle has",
  "The price of bread has",
  "He opened the door and saw",
  "Computers represent numbers as",
  "The heart pumps",
  "function add(a, b) {",
  "Dear customer, thank you for",
  "The meeting starts at",
  "Bees are important because",
  "The sentence is in the language",
  "She plays the violin and her brother",
];
export const PROMPTS: readonly string[] = SUBJECTS;

export const CONVERSATIONS = [
  [{ role: "user", content: "Hello!" }],
  [
    { role: "system", content: "You answer in one word." },
    { role: "user", content: "What colour is the sky?" },
  ],
  [
    { role: "user", content: "Name a fruit." },
    { role: "assistant", content: "Apple" },
    { role: "user", content: "And a vegetable?  " },
  ],
] as const;

/**
 * Prose for perplexity: this project's records of decisions as they were on 2026-11-30. A copy, so that figures stay
 * comparable when the records change.
 */
export function longText(): string {
  return readFileSync(join("scripts", "agreement", "long-text.txt"), "utf8");
}
