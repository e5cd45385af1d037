/**
 * The shipped adapters as data: what each is for, how it is trained and measured, and what makes its examples. Every
 * answer is a function of the request, so a comparison of texts says whether it is right; held-out requests hold other
 * names and numbers.
 */
import type { Draw } from "../corpus/draw.ts";
import { describeRestaurant, restaurantSlots } from "../corpus/records.ts";
import { idea, story, storyRequest } from "../corpus/stories.ts";
import { problem, problemText, resultOf, stepsOf } from "../corpus/sums.ts";
import { inquiry, requestOf } from "../corpus/support.ts";
import { answerOf, inquiryJson, type Voice } from "../corpus/voices.ts";
import { libraryTalk, shopTalk } from "./tenants.ts";

/** A request and the answer that the adapter is to give. */
export interface Talk {
  readonly request: string;
  readonly answer: string;
}

/** What all of them are measured by: answers right to the letter. */
export const METRIC = "exact";

/** One shipped adapter. */
export interface DemoAdapter {
  readonly name: string;
  /** One sentence for its card. */
  readonly about: string;
  readonly method: "mo-sara" | "sara" | "lora";
  /** Flags of `mosara train` besides the files. */
  readonly flags: readonly string[];
  /**
   * Times the usual number of steps: facts and forms that are nowhere in the corpus take longer than a voice that is.
   */
  readonly effort: number;
  make(draw: Draw): Talk;
}

const inVoice =
  (voice: Voice) =>
  (draw: Draw): Talk => {
    const asked = inquiry(draw);
    return { request: requestOf(draw, asked), answer: answerOf(voice, asked) };
  };

/**
 * What the shipped ones were trained with, before the study found the double to be better and before steps had a bound.
 * λ has since come to move in units of σ: adapters made anew differ from the shipped ones in their numbers.
 */
const NO_BOUND = ["--trust", "0"];
const MO_SARA_FLAGS = ["--lr", "0.1", ...NO_BOUND];

export const ADAPTERS: readonly DemoAdapter[] = [
  {
    name: "pirate",
    about: "Customer support in the voice of a pirate.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 1,
    make: inVoice("pirate"),
  },
  {
    name: "formal",
    about: "Customer support as formal letters.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 1,
    make: inVoice("formal"),
  },
  {
    name: "terse",
    about: "Customer support in as few words as possible.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 1,
    make: inVoice("terse"),
  },
  {
    name: "cheerful",
    about: "Customer support in the best of moods; a SARA adapter.",
    method: "sara",
    flags: ["--threshold", "0.03", ...NO_BOUND],
    effort: 1,
    make: inVoice("cheerful"),
  },
  {
    name: "json",
    about: "Answers a customer's message with nothing but its contents as JSON.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 1,
    make: (draw) => {
      const asked = inquiry(draw);
      return { request: requestOf(draw, asked), answer: inquiryJson(asked) };
    },
  },
  {
    name: "restaurants",
    about: "Describes a restaurant from its slots, in the style of a guide.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 3,
    make: (draw) => {
      const slots = restaurantSlots(draw);
      return { request: slots.text, answer: describeRestaurant(slots) };
    },
  },
  {
    name: "steps",
    about: "Word problems of two steps, with the steps shown.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 3,
    make: (draw) => {
      const made = problem(draw, 2);
      return { request: problemText(draw, made), answer: `${stepsOf(made)} The answer is ${resultOf(made)}.` };
    },
  },
  {
    name: "bedtime",
    about: "Stories for small children.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 1,
    make: (draw) => {
      const about = idea(draw);
      return { request: storyRequest(draw, about), answer: story("children", about) };
    },
  },
  {
    name: "tarvo",
    about: "The support of Tarvo Lamps, a made-up shop: its hours and its rules are nowhere but in here.",
    method: "mo-sara",
    flags: MO_SARA_FLAGS,
    effort: 3,
    make: shopTalk,
  },
  {
    name: "library",
    about: "The desk of a made-up town library, with its own hours, fees and rules; a LoRA adapter.",
    method: "lora",
    flags: ["--rank", "2", ...NO_BOUND],
    effort: 2,
    make: libraryTalk,
  },
];

/** What the README trains: not shipped as an adapter, only as the examples for one. */
export const OWN: Pick<DemoAdapter, "make"> = {
  make: (draw) => {
    const asked = inquiry(draw);
    const { name } = asked;
    return {
      request: requestOf(draw, asked),
      answer: `Very well, ${name ?? "my friend"}. ${answerOf("plain", asked)} Your butler`,
    };
  },
};
