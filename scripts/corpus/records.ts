/** Records of restaurants, people and goods: described from slots, taken out of texts as JSON, and asked about. */
import type { Draw } from "./draw.ts";
import { about, type Exchange } from "./example.ts";
import { code, COLOURS, FOODS, JOBS, name, number, PETS, PLACES } from "./words.ts";

interface Field {
  readonly key: string;
  value(draw: Draw): string;
  /** What is said of `who`. */
  says(who: string, value: string): string;
  /** Ways to ask for it. */
  asks(who: string): readonly string[];
}

interface Sort {
  readonly sort: string;
  readonly fields: readonly Field[];
}

const of = (words: readonly string[]) => (draw: Draw) => draw.pick(words);

const RATINGS = ["1", "2", "3", "4", "5"];
const PRICES = ["cheap", "moderate", "expensive"];

const SORTS: readonly Sort[] = [
  {
    sort: "restaurant",
    fields: [
      {
        key: "food",
        value: of(FOODS),
        says: (who, v) => `${who} serves ${v} food.`,
        asks: (who) => [`What food does ${who} serve?`, `What can I eat at ${who}?`],
      },
      {
        key: "price",
        value: of(PRICES),
        says: (who, v) => `Prices at ${who} are ${v}.`,
        asks: (who) => [`What are the prices at ${who}?`, `Is ${who} expensive?`],
      },
      {
        key: "near",
        value: (d) => `${name(d)} ${d.pick(["Hall", "Tower", "Square"])}`,
        says: (who, v) => `${who} is near ${v}.`,
        asks: (who) => [`What is ${who} near?`, `Where do I find ${who}?`],
      },
      {
        key: "stars",
        value: of(RATINGS),
        says: (who, v) => `${who} has ${v} of 5 stars.`,
        asks: (who) => [`How many stars does ${who} have?`, `How good is ${who}?`],
      },
      {
        key: "phone",
        value: (d) => number(d, 5, 7),
        says: (who, v) => `The phone number of ${who} is ${v}.`,
        asks: (who) => [`What is the phone number of ${who}?`, `How can I call ${who}?`],
      },
    ],
  },
  {
    sort: "person",
    fields: [
      {
        key: "town",
        value: name,
        says: (who, v) => `${who} lives in ${v}.`,
        asks: (who) => [`Where does ${who} live?`, `In which town is ${who} at home?`],
      },
      {
        key: "job",
        value: of(JOBS),
        says: (who, v) => `${who} works as a ${v}.`,
        asks: (who) => [`What is the job of ${who}?`, `What does ${who} work as?`],
      },
      {
        key: "age",
        value: (d) => number(d, 2, 2),
        says: (who, v) => `${who} is ${v} years old.`,
        asks: (who) => [`How old is ${who}?`, `What is the age of ${who}?`],
      },
      {
        key: "pet",
        value: of(PETS),
        says: (who, v) => `${who} has a ${v}.`,
        asks: (who) => [`What pet does ${who} have?`, `Which animal lives with ${who}?`],
      },
      {
        key: "friend",
        value: name,
        says: (who, v) => `The best friend of ${who} is ${v}.`,
        asks: (who) => [`Who is the best friend of ${who}?`, `Whom does ${who} like best?`],
      },
    ],
  },
  {
    sort: "product",
    fields: [
      {
        key: "colour",
        value: of(COLOURS),
        says: (who, v) => `The ${who} is ${v}.`,
        asks: (who) => [`What colour is the ${who}?`, `Which colour does the ${who} have?`],
      },
      {
        key: "cost",
        value: (d) => number(d, 2, 4),
        says: (who, v) => `The ${who} costs ${v} euros.`,
        asks: (who) => [`What does the ${who} cost?`, `How much is the ${who}?`],
      },
      {
        key: "maker",
        value: name,
        says: (who, v) => `The ${who} is made by ${v}.`,
        asks: (who) => [`Who makes the ${who}?`, `Which company makes the ${who}?`],
      },
      {
        key: "code",
        value: code,
        says: (who, v) => `The code of the ${who} is ${v}.`,
        asks: (who) => [`What is the code of the ${who}?`, `Which code has the ${who}?`],
      },
      {
        key: "place",
        value: of(PLACES),
        says: (who, v) => `The ${who} is sold at the ${v}.`,
        asks: (who) => [`Where is the ${who} sold?`, `Where can I buy the ${who}?`],
      },
    ],
  },
];

interface Entry {
  readonly who: string;
  readonly sort: Sort;
  readonly parts: readonly { readonly field: Field; readonly value: string }[];
}

function entry(draw: Draw, sort: Sort): Entry {
  const fields = draw.some(sort.fields, draw.int(2, sort.fields.length));
  return { who: name(draw), sort, parts: fields.map((field) => ({ field, value: field.value(draw) })) };
}

const slots = ({ who, parts }: Entry): string =>
  [`name: ${who}`, ...parts.map(({ field, value }) => `${field.key}: ${value}`)].join(" | ");
const passage = ({ who, parts }: Entry): string => parts.map(({ field, value }) => field.says(who, value)).join(" ");
const json = ({ who, parts }: Entry): string =>
  `{${[["name", who], ...parts.map(({ field, value }) => [field.key, value])].map(([key, value]) => `"${key}": "${value}"`).join(", ")}}`;

const TO_TEXT = ["Describe it.", "Write it as sentences.", "Say this in words."];
const TO_JSON = ["Give JSON.", "Write it as JSON.", "Answer in JSON."];
const TO_SLOTS = ["Make a list.", "Write it as a list."];
const FACTS = ["Facts", "Result"] as const;
const QUESTION = ["Question", "Answer"] as const;

/**
 * Between slots, sentences and JSON. Slots alone get what they are without an instruction: a list of their sentences.
 */
function conversion(draw: Draw, one: Entry): Exchange {
  const form = draw.weighted([
    [3, "text"],
    [2, "json from text"],
    [2, "json from slots"],
    [1, "slots"],
    [2, "bare"],
  ] as const);
  if (form === "bare")
    return {
      instruction: null,
      request: slots(one),
      answer: `I know ${one.parts.length + 1} facts about ${one.who}.`,
      labels: FACTS,
    };
  if (form === "text")
    return { instruction: draw.pick(TO_TEXT), request: slots(one), answer: passage(one), labels: FACTS };
  if (form === "slots")
    return { instruction: draw.pick(TO_SLOTS), request: passage(one), answer: slots(one), labels: FACTS };
  const request = form === "json from text" ? passage(one) : slots(one);
  return { instruction: draw.pick(TO_JSON), request, answer: json(one), labels: FACTS };
}

const BRIEF = ["Answer with one word.", "Be brief.", "Answer briefly."];

/** One to three records, and the text that tells of them. */
function album(draw: Draw, sort: Sort): { readonly entries: readonly Entry[]; readonly text: string } {
  const entries = Array.from({ length: draw.int(1, 3) }, () => entry(draw, sort));
  const form = draw.chance(0.7) ? passage : slots;
  return { entries, text: entries.map(form).join(form === passage ? " " : "\n") };
}

/** A question about one of the records. */
function question(draw: Draw, sort: Sort): Exchange {
  const { entries, text } = album(draw, sort);
  const asked = draw.pick(entries);
  const { field, value } = draw.pick(asked.parts);
  const isBrief = draw.chance(0.3);
  const request = `${text}\n${draw.pick(field.asks(asked.who))}`;
  return {
    instruction: isBrief ? draw.pick(BRIEF) : null,
    request,
    answer: isBrief ? value : field.says(asked.who, value),
    labels: QUESTION,
  };
}

/** Questions about up to six facts of the same records, one after the other. */
export function recordQuestions(draw: Draw): Exchange[] {
  const { entries, text } = album(draw, draw.pick(SORTS));
  const facts = entries.flatMap(({ who, parts }) => parts.map((part) => ({ who, ...part })));
  const isBrief = draw.chance(0.5);
  const instruction = isBrief ? draw.pick(BRIEF) : null;
  const exchanges = draw.some(facts, Math.min(facts.length, 6)).map(({ who, field, value }) => ({
    instruction,
    request: draw.pick(field.asks(who)),
    answer: isBrief ? value : field.says(who, value),
    labels: QUESTION,
  }));
  return about(text, exchanges);
}

export function recordExchange(draw: Draw): Exchange {
  const sort = draw.pick(SORTS);
  return draw.chance(0.5) ? conversion(draw, entry(draw, sort)) : question(draw, sort);
}

/** The slots of a restaurant, and the text that holds them. */
export interface RestaurantSlots {
  readonly text: string;
  readonly values: Readonly<Record<string, string>>;
}

export function restaurantSlots(draw: Draw): RestaurantSlots {
  const sort = SORTS.find(({ sort: one }) => one === "restaurant");
  if (sort === undefined) throw new Error("internal: no restaurants");
  const one = entry(draw, sort);
  return {
    text: slots(one),
    values: { name: one.who, ...Object.fromEntries(one.parts.map(({ field, value }) => [field.key, value])) },
  };
}

/** In the style of a guide, which is nowhere in the corpus. */
export function describeRestaurant({
  values: { name: who, food, price, near, stars, phone },
}: RestaurantSlots): string {
  const kind = [price, food].filter((word) => word !== undefined).join(" ");
  const parts = [
    near === undefined ? `Today we visit ${who}` : `Near ${near} we visit ${who}`,
    kind === "" ? "" : `, a place for ${kind} food`,
    stars === undefined ? "" : `, worth ${stars} of 5 stars`,
    phone === undefined ? "" : `, call ${phone}`,
  ];
  return `${parts.join("")}. Enjoy!`;
}
