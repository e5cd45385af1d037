/**
 * The text on which losses of matrices are compared when a budget of bits is spent: prose, dialogue, code and numbers,
 * some 200 tokens. The most general kinds come first, because models with short contexts read only its beginning.
 */
export const SAMPLE_TEXT = `The harbour master kept two ledgers. One recorded the ships that had arrived, with their cargo and \
the names of their captains. The other, which nobody else had ever seen, recorded the ships that should have arrived.

Question: A shop sells pencils at 3 for 2 euros. What do 12 pencils cost?
Answer: Twelve pencils are four times three pencils, so they cost 4 × 2 = 8 euros.

function largest(values) {
  let best = -Infinity;
  for (const value of values) if (value > best) best = value;
  return best;
}

Dear Mr Okafor, we thank you for your order of 14 May. Your parcel left our warehouse this morning and should reach you \
within three working days. Please keep this letter until then.

1. Wash the rice. 2. Heat some oil in a pan. 3. Add onions, salt and the rice, and stir until everything is golden.
{"name": "Ada", "born": 1815, "languages": ["English", "French"], "isAlive": false}
`;
