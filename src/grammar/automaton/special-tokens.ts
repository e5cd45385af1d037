/** How special tokens are spelled in the bytes of a network: their content between two bytes that no text contains. */

const MARK = 0xff;

/** The spelling of a special token. */
export function spellSpecial(content: string): number[] {
  return [MARK, ...new TextEncoder().encode(content), MARK];
}

/** The bytes of a text in which the content of a special token is that token. The longest content wins. */
export function spellMarks(text: string, specials: readonly string[]): number[] {
  const bytes: number[] = [];
  let plain = "";
  const flush = (): void => {
    bytes.push(...new TextEncoder().encode(plain));
    plain = "";
  };
  for (let at = 0; at < text.length;) {
    const here = specials.filter((content) => content !== "" && text.startsWith(content, at));
    const special = here.reduce((longest, one) => (one.length > longest.length ? one : longest), "");
    if (special === "") {
      plain += text[at++];
      continue;
    }
    flush();
    bytes.push(...spellSpecial(special));
    at += special.length;
  }
  flush();
  return bytes;
}
