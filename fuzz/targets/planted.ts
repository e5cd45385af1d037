/** Parsers with planted faults, by which the tests see that faults are found. No run of all targets reads them. */
import type { Target } from "../target.ts";

function planted(name: string, read: () => void, maxSeconds = 60): Target {
  return { name: `planted-${name}`, makeInput: (random) => Uint8Array.of(random.below(256)), read, maxSeconds };
}

export const PLANTED_TARGETS: readonly Target[] = [
  planted("error", () => {
    throw new TypeError("planted");
  }),
  planted(
    "hang",
    () => {
      for (;;);
    },
    0.5,
  ),
  planted("heap", () => {
    for (const all: number[][] = []; ;) all.push(Array.from({ length: 100_000 }, (_, i) => i));
  }),
  planted("buffer", () => void new Uint8Array(2 ** 27)),
];
