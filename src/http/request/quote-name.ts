/** A name that a caller sent, quoted and cut to a length that fits a message. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length <= 140 ? name : `${name.slice(0, 140)}…`);
}
