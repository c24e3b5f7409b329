/** Guesses from the words of a line what is wanted: to draw, to edit or to ask. */

export const MODES = ["draw", "edit", "ask"];

const ASKING = new RegExp(
  "^(what|which|who|where|when|why|how|is|are|was|does|do|did|can|could|describe|count|tell me)\\b" +
    "|[?\uff1f]\\s*$|^(\u63cf\u8ff0|\u8bf7\u63cf\u8ff0|\u4ec0\u4e48|\u591a\u5c11|\u54ea|\u51e0)|\u5417\\s*$",
  "i",
);
const DRAWING =
  /^(please )?(draw|generate|paint|create|imagine|sketch)\b|^(\u8bf7)?(\u753b|\u7ed8\u5236|\u751f\u6210)/i;

/** One of MODES; without a picture there is nothing to edit or to ask about. */
export function guessMode(words, hasPicture) {
  const said = words.trim();
  if (!hasPicture || DRAWING.test(said)) return "draw";
  return ASKING.test(said) ? "ask" : "edit";
}
