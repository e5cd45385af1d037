/**
 * Little stories: what is in them decides how they go; they can be told in a sentence, as usual, or for small children.
 */
import type { Draw } from "./draw.ts";
import type { Exchange } from "./example.ts";
import { name, PLACES } from "./words.ts";

/** What a story is about. */
export interface Idea {
  readonly who: string;
  readonly friend: string;
  readonly subject: string;
  readonly place: string;
}

const SUBJECTS = {
  lost: ["kite", "ring", "ball", "hat", "key"],
  animal: ["fox", "owl", "bear", "mouse", "frog"],
  built: ["boat", "tower", "wagon", "swing", "hut"],
} as const;
type Plot = keyof typeof SUBJECTS;
const PLOTS = Object.keys(SUBJECTS) as Plot[];

function plotOf(subject: string): Plot {
  const plot = PLOTS.find((one) => (SUBJECTS[one] as readonly string[]).includes(subject));
  if (plot === undefined) throw new Error(`internal: no story about a ${subject}`);
  return plot;
}

export function idea(draw: Draw): Idea {
  return {
    who: name(draw),
    friend: name(draw),
    subject: draw.pick(SUBJECTS[draw.pick(PLOTS)]),
    place: draw.pick(PLACES),
  };
}

type Telling = (idea: Idea) => string;

const USUAL: Readonly<Record<Plot, Telling>> = {
  lost: ({ who, friend, subject, place }) =>
    `One day ${who} lost a ${subject} at the ${place}. ${who} looked everywhere but could not find it. Then ${friend} came and helped. The ${subject} lay under a bush. ${who} thanked ${friend}, and they went home together.`,
  animal: ({ who, friend, subject, place }) =>
    `One day ${who} met a ${subject} at the ${place}. The ${subject} was hungry and alone. ${who} called ${friend}, and they shared their bread. From then on the ${subject} waited for them every evening.`,
  built: ({ who, friend, subject, place }) =>
    `One day ${who} wanted to build a ${subject} at the ${place}. It fell apart at once. Then ${friend} brought better wood. They worked all day, and in the evening the ${subject} was ready.`,
};

const IN_A_SENTENCE: Readonly<Record<Plot, Telling>> = {
  lost: ({ who, friend, subject, place }) => `${who} lost a ${subject} at the ${place}, and ${friend} found it.`,
  animal: ({ who, friend, subject, place }) => `${who} and ${friend} fed a ${subject} at the ${place}.`,
  built: ({ who, friend, subject, place }) => `${who} and ${friend} built a ${subject} at the ${place}.`,
};

const FOR_CHILDREN: Readonly<Record<Plot, Telling>> = {
  lost: ({ who, friend, subject, place }) =>
    `Oh no! Where is the ${subject}? Little ${who} looks left. Little ${who} looks right. No ${subject} at the ${place}! But look, there comes ${friend}. Peekaboo, here is the ${subject}! Good night, ${who}.`,
  animal: ({ who, friend, subject, place }) =>
    `Tap, tap, tap! Who is at the ${place}? It is a little ${subject}! Hello, ${subject}, says ${who}. Are you hungry, asks ${friend}. Munch, munch, munch! Good night, ${subject}. Good night, ${who}.`,
  built: ({ who, friend, subject, place }) =>
    `Bang, bang, bang! Little ${who} builds a ${subject} at the ${place}. Oops, it falls down! Wait, says ${friend}, we do it again. Bang, bang, bang! What a fine ${subject}! Good night, ${who}.`,
};

const TELLINGS = {
  usual: { tell: USUAL, told: [] },
  sentence: { tell: IN_A_SENTENCE, told: ["Use one sentence.", "Be brief.", "One sentence only."] },
  children: {
    tell: FOR_CHILDREN,
    told: ["It is for small children.", "Tell it to a small child.", "Make it a story for toddlers."],
  },
} as const;

/** @param telling how it is told */
export function story(telling: keyof typeof TELLINGS, about: Idea): string {
  return TELLINGS[telling].tell[plotOf(about.subject)](about);
}

/** Words that ask for it. */
export function storyRequest(draw: Draw, { who, friend, subject, place }: Idea): string {
  return draw.pick([
    `Tell a story about ${who}, ${friend} and a ${subject} at the ${place}.`,
    `Write a story: ${who} and ${friend}, a ${subject}, the ${place}.`,
    `I want a story with ${who} and ${friend}. There is a ${subject} at the ${place}.`,
  ]);
}

export function storyExchange(draw: Draw): Exchange {
  const about = idea(draw);
  const telling = draw.weighted([
    [3, "usual"],
    [2, "sentence"],
    [2, "children"],
  ] as const);
  const { told } = TELLINGS[telling];
  return {
    instruction: told.length === 0 ? null : draw.pick<string>(told),
    request: storyRequest(draw, about),
    answer: story(telling, about),
    labels: ["Request", "Story"],
  };
}
